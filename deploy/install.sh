#!/bin/sh
# Installs lesion-edge from this folder, without a network: sh install.sh [FOLDER]
set -eu

stop() {
    echo "install.sh: $*" >&2
    exit 1
}

python=${PYTHON:-python3}
# What the shell has for pip (PIP_USER, PIP_TARGET, PIP_REQUIRE_HASHES, ...) and for another Python
# would send the packages elsewhere, or refuse them; CDPATH makes cd print.
for name in CDPATH __PYVENV_LAUNCHER__ $(env | sed -nE 's/^((PIP_|PYTHON)[A-Za-z0-9_]*)=.*/\1/p'); do
    unset "$name"
done
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONFIG_FILE=/dev/null

here=$(cd -- "$(dirname -- "$0")" && pwd)
[ $# -gt 0 ] || [ -n "${HOME:-}" ] || stop "HOME isn't set; name a folder: sh install.sh FOLDER"
target=${1:-$HOME/lesion-edge}
case $target in -*) stop "no such option: $target; name a folder: sh install.sh FOLDER" ;; esac

command -v -- "$python" >/dev/null || stop "no $python; on Debian: sudo apt install python3"
about=$("$python" -c 'import platform, sys
print(platform.machine(), "%d.%d" % sys.version_info[:2], 64 if sys.maxsize > 2**32 else 32)') ||
    stop "$python is no Python that runs; name another: PYTHON=..."
[ "$about" = "@MACHINE@ @PYTHON@ 64" ] || stop "these wheels are for @MACHINE@, 64-bit Python" \
    "@PYTHON@; this is $about; make a wheelhouse for that, or name another Python: PYTHON=..."
(cd "$here" && sha256sum --check --quiet SHA256SUMS) || stop "damaged files: copy the folder again"
[ ! -e "$target" ] || [ -e "$target/pyvenv.cfg" ] || stop "$target is there already; name another" \
    "folder: sh install.sh FOLDER"

mkdir -p -- "$target" 2>/dev/null && [ -w "$target" ] || stop "$target can't be written;" \
    "name another folder: sh install.sh FOLDER"

# Pip comes along, as Debian's Python can't give a venv one without the package python3-venv.
"$python" -m venv --clear --without-pip "$target"
target=$(cd "$target" && pwd)
pip=$(echo "$here"/wheels/pip-*.whl)
"$target/bin/python" "$pip/pip" install --quiet --no-index --find-links "$here/wheels" pip lesion-edge
[ ! -e "$here/model.tflite" ] || cp "$here/model.tflite" "$target/model.tflite"

cd "$target"
set -- "$here/picture.jpg"
[ ! -e model.tflite ] || set -- --model "$target/model.tflite" "$@"
"$target/bin/python" -m edge.run "$@" || {
    "$target/bin/python" -m edge.doctor || true
    stop "installed, but the picture could not be analysed: see above"
}
echo "installed; use it with: $target/bin/python -m edge.run PICTURE"
