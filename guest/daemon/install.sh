#!/bin/sh
# Installs tt-agent from this directory as a service and starts it. With DESTDIR set only the files are put there.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
root=${DESTDIR-}
[ -n "$root" ] || [ "$(id -u)" = 0 ] || { echo 'install.sh: only root can install a service' >&2; exit 1; }

put() { # MODE FILE PLACE
  mkdir -p "$root${3%/*}"
  cp "$here/$2" "$root$3.new"
  chmod "$1" "$root$3.new"
  mv "$root$3.new" "$root$3"
}

init=${TT_INIT-}
if [ -z "$init" ]; then
  if [ -d "$root/run/systemd/system" ] || [ -d "$root/usr/lib/systemd/system" ] || [ -d "$root/lib/systemd/system" ]; then init=systemd
  elif [ -x "$root/sbin/openrc-run" ]; then init=openrc
  elif [ -d "$root/etc/init.d" ]; then init=sysv
  else
    echo 'install.sh: this system has neither systemd, nor OpenRC, nor /etc/init.d; start /usr/sbin/tt-agent by whatever it has' >&2
    init=none
  fi
fi

put 755 tt-agent /usr/sbin/tt-agent
case $init in
  systemd)
    put 644 tt-agent.service /etc/systemd/system/tt-agent.service
    put 644 tt-agent-tcp.service /etc/systemd/system/tt-agent-tcp.service
    put 644 60-tt-agent.rules /etc/udev/rules.d/60-tt-agent.rules ;;
  openrc) put 755 tt-agent.openrc /etc/init.d/tt-agent ;;
  sysv) put 755 tt-agent.sysv /etc/init.d/tt-agent ;;
esac
[ -z "$root" ] || exit 0

case $init in
  systemd)
    systemctl enable tt-agent.service
    if [ -d /run/systemd/system ]; then
      systemctl daemon-reload
      udevadm control --reload || true
      systemctl start tt-agent.service
    fi ;;
  openrc) rc-update add tt-agent default && rc-service tt-agent start ;;
  sysv)
    if command -v update-rc.d >/dev/null; then update-rc.d tt-agent defaults
    elif command -v chkconfig >/dev/null; then chkconfig --add tt-agent
    else echo 'install.sh: let your init start /etc/init.d/tt-agent at boot' >&2; fi
    /etc/init.d/tt-agent start ;;
esac
