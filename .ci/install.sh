#!/bin/sh
# Installs coinwire into .venv, editable, so that .venv/bin/coinwire runs this checkout:
#
#   sh .ci/install.sh PYTHON runtime    with what `make demo` needs: dependencies and the embedded server
#   sh .ci/install.sh PYTHON dev        with everything that requirements-dev.lock lists
#
# Both take their versions from requirements-dev.lock, so they share one .venv and neither downgrades the other. `make`
# decides when to call it. uv installs where it is on PATH, as it is several times as fast; else pip does.
set -eu
cd "$(dirname "$0")/.."
python=$1 kind=$2

case $kind in
runtime) set -- --constraint requirements-dev.lock --editable '.[embedded]' ;;
dev) set -- --requirement requirements-dev.lock --editable . ;;
*) echo "usage: sh .ci/install.sh PYTHON runtime|dev" >&2; exit 2 ;;
esac

# Packages that are no longer locked must not stay. A .venv that already has the locked runtime is only added to: the
# demo may be running from it.
if ! cmp -s requirements-dev.lock .venv/.lock; then
	rm -rf .venv
fi

with_uv() {
	[ -x .venv/bin/python ] || uv venv --quiet --python "$python" .venv || return 1
	# Compiled now, once; else all processes of a cluster would do it at their first start, each on its own.
	uv pip install --quiet --compile-bytecode --python .venv/bin/python "$@"
}

with_pip() {
	[ -x .venv/bin/python ] || "$python" -m venv .venv
	.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null # uv made it without
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
}

if command -v uv >/dev/null; then
	echo "installing into .venv with uv ($kind), once"
	with_uv "$@" || { echo "uv failed: installing with pip" >&2; with_pip "$@"; }
else
	echo "installing into .venv with pip ($kind), once; this takes up to a minute"
	with_pip "$@"
fi
cp requirements-dev.lock .venv/.lock
