#!/bin/sh
# An authority of your own, and one certificate for every Redis of compose.yaml: `certificates.sh FOLDER`, for two years.
set -eu
umask 022
folder=$1
subnet=${HUB_SUBNET:-172.29.88}
names=DNS:localhost,IP:127.0.0.1,DNS:redis
for last in 11 12 13 21 22 23 31 32 33 34 35 36; do names=$names,IP:$subnet.$last; done
mkdir -p "$folder"
cd "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 730 -subj '/CN=redis-ai-hub' \
  -addext 'keyUsage=critical,keyCertSign' -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=redis' -keyout redis.key -out redis.csr 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names" >redis.ext
openssl x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 730 -extfile redis.ext -out redis.crt 2>/dev/null
rm redis.csr redis.ext
chmod 600 ca.key
# Redis runs as 999 in its containers. Without root to hand it over, the folder is what keeps others out.
if [ "$(id -u)" = 0 ]; then chown 999 redis.key && chmod 600 redis.key; else chmod 644 redis.key && echo 'redis.key: chown 999 and chmod 600'; fi
