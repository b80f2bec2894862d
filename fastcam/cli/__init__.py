"""The ``fastcam`` command, one file per subcommand."""
