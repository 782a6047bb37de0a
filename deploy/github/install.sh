#!/usr/bin/env bash
# Installs birthright for action.yml, in an environment of its own, and puts it on the PATH of later steps.
set -euo pipefail

version=${INPUT_VERSION:-}
extra=
if [[ ${INPUT_NOTIFY:-false} == true ]]; then
  extra='[notify]'
fi
if [[ -n $version && ! $version =~ ^[0-9][0-9A-Za-z.+!]*$ ]]; then
  echo '::error::the input version is no version, such as 1.2.3'
  exit 2
fi

home=$RUNNER_TEMP/birthright-python
python -m venv "$home"
source=$ACTION_PATH$extra
if [[ -n $version ]]; then
  source=birthright$extra==$version
fi
"$home/bin/python" -m pip install --quiet --disable-pip-version-check "$source"

mkdir -p "$home/path"
ln -sf "$home/bin/birthright" "$home/path/birthright"
echo "$home/path" >>"$GITHUB_PATH"
