#!/bin/sh
# Takes away what install.sh put on this system. With DESTDIR set only the files there.
set -eu
root=${DESTDIR-}
[ -n "$root" ] || [ "$(id -u)" = 0 ] || { echo 'uninstall.sh: only root can remove a service' >&2; exit 1; }

if [ -z "$root" ]; then
  if [ -e /etc/systemd/system/tt-agent.service ]; then
    systemctl disable tt-agent.service tt-agent-tcp.service || true
    [ ! -d /run/systemd/system ] || systemctl stop tt-agent.service tt-agent-tcp.service || true
  elif [ -e /etc/init.d/tt-agent ]; then
    /etc/init.d/tt-agent stop || true
    if command -v rc-update >/dev/null; then rc-update del tt-agent default || true
    elif command -v update-rc.d >/dev/null; then update-rc.d -f tt-agent remove || true
    elif command -v chkconfig >/dev/null; then chkconfig --del tt-agent || true; fi
  fi
  rm -rf /run/tt-agent
fi
rm -f "$root/usr/sbin/tt-agent" "$root/etc/systemd/system/tt-agent.service" "$root/etc/systemd/system/tt-agent-tcp.service" \
  "$root/etc/udev/rules.d/60-tt-agent.rules" "$root/etc/init.d/tt-agent"
[ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
