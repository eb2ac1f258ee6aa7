#!/usr/bin/env bash
# Start the service of firstlight: here, or detached from this terminal.
#
#   deploy/start.sh foreground [OPTIONS]    until Ctrl-C
#   deploy/start.sh detached [OPTIONS]      returns when it answers; goes on after logout
#   deploy/start.sh status                  whether it goes on, and where
#   deploy/start.sh stop                    ends the service; runs go on
#   deploy/start.sh finish [HOST:PORT]      ends runs in order, which write what they have, and waits for them
#   deploy/start.sh token                   prints the token that browsers and 'firstlight hp' need
#
# OPTIONS are those of 'firstlight serve', such as --port 8000 --root DATA --holoptycho.
#
#   FIRSTLIGHT          the command; default: firstlight, as found in PATH
#   FIRSTLIGHT_SERVICE  folder of token, log and process number; default: ~/.local/state/firstlight-service
#   FIRSTLIGHT_TOKEN    token to use; default: made once and kept in that folder, readable by you alone
#   TILED_API_KEY_FILE  file with the API key of Tiled, in place of TILED_API_KEY
#
# Other people on the same machine reach its loopback address too: that is why there is always a token. Keys and token
# go to the service in its environment, and stand in no list of processes and in no log.

set -euo pipefail
umask 077

command=${FIRSTLIGHT:-firstlight}
folder=${FIRSTLIGHT_SERVICE:-${XDG_STATE_HOME:-$HOME/.local/state}/firstlight-service}
log=$folder/service.log pidfile=$folder/service.pid tokenfile=$folder/token
patience=${FIRSTLIGHT_PATIENCE:-60}

complain() { echo "start.sh: $*" >&2; exit 2; }

secrets() {
  if [[ -z ${FIRSTLIGHT_TOKEN:-} ]]; then
    [[ -s $tokenfile ]] || head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' > "$tokenfile"
    FIRSTLIGHT_TOKEN=$(< "$tokenfile")
  fi
  export FIRSTLIGHT_TOKEN
  if [[ -n ${TILED_API_KEY_FILE:-} ]]; then
    [[ -r $TILED_API_KEY_FILE ]] || complain "TILED_API_KEY_FILE=$TILED_API_KEY_FILE can not be read."
    TILED_API_KEY=$(< "$TILED_API_KEY_FILE")
    export TILED_API_KEY
  fi
}

# The number of the service's process, if it goes on. A number that another program has by now is not taken for it.
running() {
  local pid
  [[ -s $pidfile ]] || return 1
  pid=$(< "$pidfile")
  [[ $pid =~ ^[0-9]+$ ]] && [[ $(ps -p "$pid" -o args= 2>/dev/null) == *" serve"* ]] && echo "$pid"
}

foreground() {
  secrets
  exec "$command" serve "$@"
}

detached() {
  local pid
  if pid=$(running); then complain "a service goes on already (process $pid); 'start.sh stop' ends it."; fi
  secrets
  : > "$log"
  # a session of its own: neither logout nor Ctrl-C in this terminal reaches it
  setsid "$command" serve "$@" >> "$log" 2>&1 < /dev/null &
  pid=$!
  echo "$pid" > "$pidfile"
  for ((tenth = 0; tenth < patience * 10; tenth++)); do
    if ! kill -0 "$pid" 2>/dev/null; then
      cat "$log" >&2
      rm -f "$pidfile"
      complain "the service ended at once; its words are above."
    fi
    if answers; then
      echo "$(address) (process $pid, log $log)"
      return
    fi
    sleep 0.1
  done
  complain "the service has not answered for $patience s; see $log."
}

# http://HOST:PORT, as the service says it
address() { sed -n 's/^firstlight listens on \([^ ]*\).*/\1/p' "$log" | tail -n 1; }

# HOST:PORT, as the service says it
place() {
  local found
  found=$(address)
  found=${found#*//}
  echo "${found%%/*}"
}

# Ask the service at HOST:PORT: METHOD PATH; its whole answer.
request() {
  local at=$1 method=$2 path=$3
  [[ $at == *:* ]] || return 1
  {
    exec 3<> "/dev/tcp/${at%:*}/${at##*:}" || return 1
    printf '%s %s HTTP/1.0\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n' \
      "$method" "$path" "$at" "$FIRSTLIGHT_TOKEN" >&3
    timeout 10 cat <&3
    exec 3>&-
  } 2> /dev/null
}

# Whether it is our service that answers, and not somebody else's on the same port: it knows the token.
answers() {
  local line
  line=$(request "$(place)" GET /api/v1/runs | head -n 1)
  [[ $line == *" 200 "* ]]
}

# Runs that go on, at HOST:PORT
unfinished() {
  local run
  for run in $(request "$1" GET /api/v1/runs | grep -o '"id":"[A-Za-z0-9-]*"[^{}]*"state":"[a-z]*"' | tr -d ' '); do
    case $run in
      *'"starting"' | *'"running"' | *'"draining"') run=${run#'"id":"'}; echo "${run%%'"'*}" ;;
    esac
  done
}

finish() {
  local at run
  secrets
  at=${1:-$(place)}
  for run in $(unfinished "$at"); do
    echo "ending $run"
    request "$at" POST "/api/v1/runs/$run/stop" > /dev/null || true
  done
  for ((tenth = 0; tenth < patience * 10; tenth++)); do
    [[ -z $(unfinished "$at") ]] && return
    sleep 0.1
  done
  complain "runs have not ended for $patience s."
}

stop() {
  local pid
  if ! pid=$(running); then
    echo "no service goes on"
    return
  fi
  kill -INT "$pid"
  for ((tenth = 0; tenth < 200; tenth++)); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$pidfile"; echo "ended"; return; }
    sleep 0.1
  done
  kill -KILL "$pid"
  rm -f "$pidfile"
  echo "ended by force"
}

status() {
  local pid
  if pid=$(running); then
    echo "goes on: $(address) (process $pid)"
  else
    echo "no service goes on"
    return 1
  fi
}

verb=${1:-}
[[ $# -gt 0 ]] && shift
mkdir -p "$folder"
case $verb in
  foreground | detached | finish) "$verb" "$@" ;;
  stop | status) "$verb" ;;
  token) secrets && echo "$FIRSTLIGHT_TOKEN" ;;
  *) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
