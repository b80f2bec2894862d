"""PyTorch operators, one file per operation: definition, fake, and what runs on each device."""
