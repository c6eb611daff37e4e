#!/bin/sh
# Get every night what the workflows of a ComfyUI need. In the crontab:
#
#   17 3 * * *  /opt/comfywatchman/nightly.sh /opt/ComfyUI
#
# It is silent when all is well, so that cron sends a letter only when somebody has to do something.
# Two of them at once do no harm: each file is downloaded by one process, and the other waits for it.
set -u

comfyui=$1
log=$(mktemp) || exit 9
trap 'rm -f "$log"' EXIT

comfywatchman get --comfyui "$comfyui" --no-progress --color never --limit-rate "${RATE:-0}" >"$log" 2>&1
code=$?

case $code in
0) ;;
5 | 6) code=0 ;; # a source did not answer, or wants to be left alone: tomorrow is another night
*) cat "$log" ;;
esac
exit "$code"
