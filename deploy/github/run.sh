#!/usr/bin/env bash
# Runs a scan for action.yml. Inputs come as INPUT_... variables and are arguments, never text of a command.
set -euo pipefail

folder=${INPUT_FOLDER:-$(mktemp -d "$RUNNER_TEMP/birthright-XXXXXX")}
if [[ $folder == *$'\n'* ]]; then
  echo '::error::the input folder is more than one line'
  exit 2
fi
mkdir -p -- "$folder"

arguments=(scan)
add() { # OPTION VALUE: nothing if there is no value; one word, so that a value cannot become an option
  if [[ -n $2 ]]; then
    arguments+=("$1=$2")
  fi
}
if [[ ${INPUT_ORG:-false} == true ]]; then
  arguments+=(--org)
fi
add --role "${INPUT_ROLE:-}"
add --depth "${INPUT_DEPTH:-}"
add --policies "${INPUT_POLICIES:-}"
add --waivers "${INPUT_WAIVERS:-}"
add --since "${INPUT_SINCE:-}"
add --fail-on "${INPUT_FAIL_ON:-}"
add --store "${INPUT_STORE:-}"

sarif=
markdown=
IFS=$' \t\n' read -r -d '' -a files <<<"${INPUT_FILES:-}" || true
for file in "${files[@]}"; do
  path=$folder/$file
  # One of an earlier run must not be taken for this one's.
  if [[ -f $path ]]; then
    rm -f -- "$path"
  fi
  arguments+=("--output=$path")
  case $file in
    *.sarif) sarif=$path ;;
    *.md) markdown=$path ;;
  esac
done

# What a scan prints holds names that strangers chose: the runner must not take it for commands.
quiet=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$quiet"
code=0
birthright "${arguments[@]}" || code=$?
echo "::$quiet::"

# What could not be written is not there to be uploaded.
[[ -f $sarif ]] || sarif=
[[ -f $markdown ]] || markdown=
complete=
if [[ -n $sarif ]]; then
  complete=false
  # No name can hold this: within a text of JSON a quotation mark has a backslash before it.
  if grep -q '"executionSuccessful":true' -- "$sarif"; then
    complete=true
  fi
fi
{
  echo "exit-code=$code"
  echo "complete=$complete"
  echo "folder=$folder"
  echo "sarif=$sarif"
  echo "markdown=$markdown"
} >>"$GITHUB_OUTPUT"

if [[ -n $markdown && ${INPUT_SUMMARY:-true} == true ]]; then
  # GitHub takes at most 1 MiB.
  if (($(wc -c <"$markdown") < 1000000)); then
    cat -- "$markdown" >>"$GITHUB_STEP_SUMMARY"
  else
    echo "The report is too long for this summary: see the file." >>"$GITHUB_STEP_SUMMARY"
  fi
fi

# 1 and 3 say what was found, and may wait for the uploads; anything else is trouble.
if [[ ${INPUT_FAIL:-true} != true && ($code == 1 || $code == 3) ]]; then
  exit 0
fi
exit "$code"
