#!/bin/sh
# redis-server for compose.yaml: `redis.sh <role>`, `redis.sh healthy`, `redis.sh cli <arguments of redis-cli>`.
#
#   roles                  single, primary, replica, sentinel, cluster, ai
#   REDIS_PASSWORD         of the user `hub`
#   REDIS_ADMIN_PASSWORD   of the users `admin`, `replica` and `sentinel`
#   REDIS_PRIMARY          replica, sentinel: where the first primary is, `host port`
#   REDIS_HOST             replica, sentinel, cluster: what others call this server
#   REDIS_PORT             6379
#   REDIS_MAXMEMORY        1gb
#   REDIS_TLS              a folder with ca.crt, redis.crt and redis.key: no port without TLS then
#   REDIS_DATA, REDIS_BIND /data, every address
set -eu
umask 077
here=$(dirname "$0")
data=${REDIS_DATA:-/data}
port=${REDIS_PORT:-6379}
tls=${REDIS_TLS:-}

# Passwords go into URLs and configurations as they are.
for password in "$REDIS_PASSWORD" "$REDIS_ADMIN_PASSWORD"; do
  case $password in
  *[!A-Za-z0-9_-]* | '') echo 'REDIS_PASSWORD and REDIS_ADMIN_PASSWORD: letters and digits, e.g. of `openssl rand -hex 32`' >&2; exit 1 ;;
  esac
done

cli() {
  user=$1
  shift
  [ "$user" = admin ] && REDISCLI_AUTH=$REDIS_ADMIN_PASSWORD || REDISCLI_AUTH=$REDIS_PASSWORD
  export REDISCLI_AUTH
  redis-cli --no-auth-warning --user "$user" ${tls:+--tls --cacert "$tls/ca.crt"} "$@"
}

# The rules of hub.acl, less commands that this server does not have.
rules() {
  if [ -e /usr/local/lib/redis/modules/redisearch.so ]; then unknown='^#'; else unknown='^#\|^+ft\.'; fi
  grep -v "$unknown" "$here/hub.acl" | tr '\n' ' '
}

users() {
  echo 'user default off'
  echo "user admin on >$REDIS_ADMIN_PASSWORD ~* &* +@all"
  case $1 in
  ai) echo "user hub on >$REDIS_PASSWORD ~* &* +@all -@admin -@dangerous +info" ;;
  *)
    echo "user hub on >$REDIS_PASSWORD ~* &* $(rules)"
    echo "user replica on >$REDIS_ADMIN_PASSWORD -@all +psync +replconf +ping"
    echo "user sentinel on >$REDIS_ADMIN_PASSWORD &__sentinel__:hello -@all +multi +exec +slaveof +ping +subscribe +publish +config|rewrite +role +info +client|setname +client|kill +script|kill"
    ;;
  esac
}

listen() {
  if [ "$tls" ]; then
    echo "port 0"
    echo "tls-port $port"
    echo "tls-ca-cert-file $tls/ca.crt"
    echo "tls-cert-file $tls/redis.crt"
    echo "tls-key-file $tls/redis.key"
    echo "tls-auth-clients no"
    echo "tls-replication yes"
  else
    echo "port $port"
  fi
  echo "bind ${REDIS_BIND:-* -::*}"
  echo "protected-mode no" # every user has a password, and `default` is off
  echo "dir $data"
}

# State must not be evicted: a full server refuses writes, and the hub stops caching before that.
store() {
  listen
  echo "aclfile $data/users.acl"
  echo "appendonly yes"
  echo "appendfsync ${REDIS_APPENDFSYNC:-everysec}"
  echo "save \"\""
  echo "maxmemory ${REDIS_MAXMEMORY:-1gb}"
  echo "maxmemory-policy noeviction"
  echo "masteruser replica"
  echo "masterauth $REDIS_ADMIN_PASSWORD"
}

# The image's own entrypoint loads the modules that it has.
server() {
  entry=$(command -v docker-entrypoint.sh || true)
  exec $entry redis-server "$@"
}

role=$1
case $role in
cli)
  shift
  cli admin "$@"
  ;;

healthy)
  cli hub -p "$port" ping | grep -q PONG
  ;;

single | cluster)
  users "$role" >"$data/users.acl"
  {
    store
    if [ "$role" = cluster ]; then
      echo "cluster-enabled yes"
      echo "cluster-config-file $data/nodes.conf"
      echo "cluster-node-timeout 5000"
      echo "cluster-announce-ip $REDIS_HOST"
      [ -z "$tls" ] || echo "tls-cluster yes"
    fi
  } >"$data/redis.conf"
  server "$data/redis.conf"
  ;;

ai)
  users ai >"$data/users.acl"
  { listen; echo "aclfile $data/users.acl"; echo 'save ""'; } >"$data/redis.conf"
  exec redis-server "$data/redis.conf" --loadmodule /usr/lib/redis/modules/redisai.so
  ;;

primary | replica)
  users "$role" >"$data/users.acl"
  # Sentinel has whose replica this is rewritten here. What does not change comes after it, and wins.
  if [ ! -e "$data/redis.conf" ]; then
    if [ "$role" = replica ]; then echo "replicaof $REDIS_PRIMARY"; fi >"$data/redis.conf"
  fi
  {
    store
    echo "replica-announce-ip $REDIS_HOST"
    # A primary that was cut off takes no writes that would be lost when it comes back.
    echo "min-replicas-to-write 1"
    echo "min-replicas-max-lag 10"
  } >"$data/fixed.conf"
  server "$data/redis.conf" - <"$data/fixed.conf"
  ;;

sentinel)
  # It keeps here what it learns; remove its volume to begin anew, e.g. with another password.
  if [ ! -e "$data/sentinel.conf" ]; then
    {
      listen
      echo "user default off"
      echo "user hub on >$REDIS_PASSWORD &* -@all +ping +info +role +subscribe +unsubscribe +psubscribe +client|setinfo +client|setname +sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|replicas +sentinel|slaves +sentinel|sentinels"
      echo "user admin on >$REDIS_ADMIN_PASSWORD ~* &* +@all"
      echo "sentinel sentinel-user admin"
      echo "sentinel sentinel-pass $REDIS_ADMIN_PASSWORD"
      echo "sentinel announce-ip $REDIS_HOST"
      echo "sentinel monitor hub $REDIS_PRIMARY 2"
      echo "sentinel auth-user hub sentinel"
      echo "sentinel auth-pass hub $REDIS_ADMIN_PASSWORD"
      echo "sentinel down-after-milliseconds hub ${SENTINEL_DOWN_AFTER_MS:-5000}"
      echo "sentinel failover-timeout hub 30000"
      echo "sentinel parallel-syncs hub 1"
    } >"$data/sentinel.conf"
  fi
  exec redis-server "$data/sentinel.conf" --sentinel
  ;;

# Makes one cluster of the nodes `host:port …`, half of them replicas, unless they are one already.
create-cluster)
  shift
  first=${1%:*}
  # The slots are there before all nodes agree.
  is_whole() { cli admin -h "$first" -p "${1##*:}" cluster info | grep -q 'cluster_state:ok'; }
  if is_whole "$1"; then exit 0; fi
  cli admin --cluster create "$@" --cluster-replicas 1 --cluster-yes
  tries=0
  until is_whole "$1"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || exit 1
    sleep 1
  done
  ;;

*)
  echo "redis.sh: there is no role \`$role\`" >&2
  exit 1
  ;;
esac
