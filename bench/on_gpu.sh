#!/usr/bin/env bash
# Builds, tests and measures in one call on a machine with a GPU and no network, where PyTorch, Triton, pytest and what
# the build needs (scikit-build-core, pybind11, cmake, ninja) are installed.
#
#   bench/on_gpu.sh FOLDER         the tests of the kernels and operators, and a part of the benchmark
#   bench/on_gpu.sh FOLDER full    the whole benchmark
#
# FOLDER gets log.txt, all that was printed, and the benchmark's results. Each step runs whatever became of those before
# it, but for the build; the exit status is 1 if one of them failed.
set -uo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ] || { [ $# -eq 2 ] && [ "$2" != full ]; }; then
    echo "usage: bench/on_gpu.sh FOLDER [full]" >&2
    exit 2
fi
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
mode=${2:-tests}
cd "$(dirname "$0")/.." || exit 2
exec > >(tee "$out/log.txt") 2>&1

# Without the safe path the source tree, which has no compiled core in it, would be imported before what is built; with
# it, a script does not find the files beside it.
export PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONPATH="$PWD/build/on-gpu:$PWD/bench"
python=$(command -v python3 || command -v python)
failed=()

step() {
    local name=$1
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    local start=$SECONDS
    "$@" || failed+=("$name")
    printf '== %s: %d s\n' "$name" $((SECONDS - start))
}

step machine "$python" -c 'import sys, torch, triton, numpy
print("Python", sys.version.split()[0], "torch", torch.__version__, "triton", triton.__version__, "numpy", numpy.__version__)
print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU")'
step build "$python" -m pip install --quiet --no-index --no-deps --no-build-isolation --no-cache-dir --upgrade \
    --target build/on-gpu .
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
step core "$python" -c 'from fastcam import _C, kernels; print("core", _C.core(), "from", _C.__file__)'

workers=$(nproc)
tests=("$python" -m pytest -p no:cacheprovider --numprocesses $((workers < 8 ? workers : 8)))
if [ "$mode" = full ]; then
    step bench "$python" bench/gpu.py --out "$out"
else
    step gpu "${tests[@]}" -m gpu tests/gpu
    step kernels "${tests[@]}" -m 'not long' --deselect tests/kernels/test_compiled.py tests/kernels
    step bench "$python" bench/gpu.py --quick --out "$out"
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "all done"
