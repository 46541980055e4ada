#!/usr/bin/env bash
# The dashboard is tested in a real browser: Debian's Chromium, installed here where it is missing.
set -euo pipefail
[ -x /usr/bin/chromium ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "Installing Chromium for the dashboard's tests ..."
  apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
  echo "The dashboard's tests need Chromium: install the package 'chromium', then run this again." >&2
  exit 1
fi
