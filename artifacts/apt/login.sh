#!/bin/sh
# Makes this host take packages from the suite @suite@ of @base@, which is not open to everybody.
# It needs a login, and says how to write one if there is none. It may be run again at any time, which also fetches new keys.
set -eu

base='@base@'
suite='@suite@'

fail() {
	echo "entrepot: $1" >&2
	exit 1
}

# fetch URL FILE: as apt fetches packages, through the same proxy and with the same login.
fetch() {
	/usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$1" "$2" >"$work/log" 2>&1 && return
	cat "$work/log" >&2
	return 1
}

without() {
	cat >&2 <<-END
		entrepot: cannot read $suite. If that is for want of a login, write one that may pull apt/$suite
		into /etc/apt/auth.conf.d/entrepot.conf, a file that only root may read:

		machine $base
		login NAME
		password SECRET

		and run this again.
	END
	exit 1
}

# A script that arrives in part does nothing: all is done from the last line.
main() {
	umask 077
	set -f
	[ -n "${DESTDIR:-}" ] || [ "$(id -u)" = 0 ] || fail 'run this as root'
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	fetch "$base/dists/$suite/InRelease" "$work/InRelease" || without
	query=
	for component in $(sed -n 's/^Components: //p' "$work/InRelease" | head -n 1); do
		case $component in
		*[!a-z0-9._-]*) fail "$base/dists/$suite/InRelease names a component that cannot be one" ;;
		esac
		query="$query&component=$component"
	done
	[ -n "$query" ] || fail "there is no suite at $base/dists/$suite/InRelease"
	fetch "$base/setup.sh?suite=$suite$query" "$work/setup.sh" || fail "cannot fetch what sets up this host from $base/setup.sh"
	sh "$work/setup.sh"
}

main
