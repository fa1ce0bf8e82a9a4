#!/usr/bin/env bash
# Starts mongod as docker-entrypoint.sh of the official image does, in what counts for a replica set: an empty data
# directory first gets the user MONGO_INITDB_ROOT_USERNAME and what the scripts in /docker-entrypoint-initdb.d write, by
# a temporary mongod on loopback without login, and without --replSet if there is such a user. After that the real one
# starts, and requires a login.
#
# There is no shell of MongoDB here, so *.js are not run. A *.sh can write with `insert DATABASE COLLECTION ID`.
#
# For tests without a container, INITDB_HOST and INITDB_DIR replace 127.0.0.1 and /docker-entrypoint-initdb.d.
set -euo pipefail

if [[ ${1:-} == -* ]]; then set -- mongod "$@"; fi
if [[ ${1##*/} != mongod ]]; then exec "$@"; fi

readonly host=${INITDB_HOST:-127.0.0.1} scripts=${INITDB_DIR:-/docker-entrypoint-initdb.d} port=27017

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# --- BSON, as hexadecimal digits -------------------------------------------------------------------

int32() { printf '%02x%02x%02x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
name() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; printf 00; }
document() { int32 $((${#1} / 2 + 5)); printf '%s00' "$1"; }
text() { # text NAME VALUE
  local value
  value=$(name "$2")
  printf 02; name "$1"; int32 $((${#value} / 2)); printf '%s' "$value"
}
number() { printf 10; name "$1"; int32 "$2"; }
only() { printf 04; name "$1"; document "03$(name 0)$(document "$2")"; } # only NAME FIELDS: a list of one document

# request DATABASE FIELDS: asks the temporary mongod to do this
request() {
  local body message length answer
  body=$(document "$2$(text "\$db" "$1")")
  message=$(int32 1)$(int32 0)$(int32 2013)$(int32 0)00$body
  message=$(int32 $((${#message} / 2 + 4)))$message
  exec 3<>"/dev/tcp/$host/$port"
  # shellcheck disable=SC2001,SC2059 # the format is made of bytes only
  printf "$(sed 's/../\\x&/g' <<<"$message")" >&3
  length=$(head -c 4 <&3 | od -An -tu4)
  answer=$(head -c $((length - 4)) <&3 | od -An -v -tx1 | tr -d ' \n')
  exec 3>&-
  [[ $answer == *01"$(name ok)"000000000000f03f* ]] || die "the temporary mongod refused a command"
}

insert() { request "$1" "$(text insert "$2")$(only documents "$(number _id "$3")")"; } # insert DATABASE COLLECTION ID

# --- what is asked for -----------------------------------------------------------------------------

from_file() { # from_file VARIABLE: its value, or the content of the file in VARIABLE_FILE
  local file=$1_FILE
  if [[ -n ${!1:-} && -n ${!file:-} ]]; then die "both $1 and $file are set (but are exclusive)"; fi
  if [[ -n ${!file:-} ]]; then printf '%s' "$(<"${!file}")"; else printf '%s' "${!1:-}"; fi
}

user=$(from_file MONGO_INITDB_ROOT_USERNAME)
password=$(from_file MONGO_INITDB_ROOT_PASSWORD)
if [[ -n $user && -z $password || -z $user && -n $password ]]; then
  die "missing 'MONGO_INITDB_ROOT_USERNAME' or 'MONGO_INITDB_ROOT_PASSWORD': both must be specified for a user to be created"
fi
wanted=$user
for script in "$scripts"/*.sh; do if [[ -e $script ]]; then wanted=yes; fi; done

data=/data/db temporary=() skip='' tls=disabled
for word; do
  if [[ -n $skip ]]; then
    if [[ $skip == --dbpath ]]; then data=$word; fi
    skip=''
    continue
  fi
  case $word in
    --dbpath) skip=--dbpath ;;
    --dbpath=*) data=${word#*=} ;;
    --bind_ip_all | --auth | --bind_ip=* | --port=* | --keyFile=* | --tlsMode=* | --logpath=* | --logappend) ;;
    --bind_ip | --port | --keyFile | --tlsMode | --logpath) skip=$word ;;
    # With scripts alone it stays, and so they cannot write.
    --replSet) if [[ -n $user ]]; then skip=$word; else temporary+=("$word"); fi ;;
    --replSet=*) if [[ -z $user ]]; then temporary+=("$word"); fi ;;
    --tlsCertificateKeyFile | --tlsCertificateKeyFile=*) tls=allowTLS temporary+=("$word") ;;
    *) temporary+=("$word") ;;
  esac
done

# A directory that was used is left as it is.
for file in WiredTiger journal local.0 storage.bson; do if [[ -e $data/$file ]]; then wanted=''; fi; done

# --- the temporary mongod --------------------------------------------------------------------------

listens() { kill -0 "$1" 2>/dev/null || die "mongod does not appear to have stayed running"; (: <"/dev/tcp/$host/$port") 2>/dev/null; }

if [[ -n $wanted ]]; then
  "${temporary[@]}" --dbpath "$data" --bind_ip "$host" --port $port --tlsMode $tls &
  mongod=$!
  trap 'kill -KILL $mongod 2>/dev/null || true' EXIT
  end=$((SECONDS + 60))
  until listens $mongod; do
    ((SECONDS < end)) || die "mongod does not appear to have accepted connections quickly enough"
    sleep 0.1
  done
  if [[ -n $user ]]; then
    role=$(text role root)$(text db admin)
    request admin "$(text createUser "$user")$(text pwd "$password")$(only roles "$role")"
  fi
  for script in "$scripts"/*.sh; do
    # shellcheck source=/dev/null
    if [[ -e $script ]]; then . "$script"; fi
  done
  kill -TERM $mongod
  wait $mongod || die "the temporary mongod ended with $?"
  echo 'MongoDB init process complete; ready for start up.'
fi

if [[ -n $user ]]; then set -- "$@" --auth; fi
case " $* " in *" --bind_ip"*) ;; *) set -- "$@" --bind_ip_all ;; esac
unset "${!MONGO_INITDB_@}" INITDB_HOST INITDB_DIR
exec "$@"
