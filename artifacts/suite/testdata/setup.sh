#!/bin/sh
# Makes this host take packages from the suite cloud-prod of https://registry.example.com:5000/apt.
# It writes two files, says so, and may be run again at any time, which also fetches new keys. See sources.list(5) for what they mean.
set -eu

key='https://registry.example.com:5000/apt/key.asc'
keyring=/etc/apt/keyrings/entrepot-registry.example.com_5000.asc
sources=/etc/apt/sources.list.d/entrepot-registry.example.com_5000_cloud-prod.sources
former=/etc/apt/sources.list.d/entrepot-cloud-prod.sources
root=${DESTDIR:-}

fail() {
	echo "entrepot: $1" >&2
	exit 1
}

# put FILE PATH: has PATH be FILE, in one step, and only if it is not yet.
put() {
	if cmp -s "$1" "$root$2"; then
		echo "entrepot: $root$2 is as it should be"
		return
	fi
	folder=$root${2%/*}
	mkdir -p "$folder"
	cp "$1" "$folder/.entrepot.new"
	chmod 644 "$folder/.entrepot.new"
	mv -f "$folder/.entrepot.new" "$root$2"
	echo "entrepot: $root$2 is written"
}

# A script that arrives in part does nothing: all is done from the last line.
main() {
	umask 022
	[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail 'run this as root'
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	/usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$key" "$work/key" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		fail "cannot fetch the keys from $key: for a private registry, write a login into /etc/apt/auth.conf.d first"
	}
	[ "$(head -n 1 "$work/key")" = '-----BEGIN PGP PUBLIC KEY BLOCK-----' ] || fail "there are no keys at $key"
	cat >"$work/sources" <<-'END'
		Types: deb
		URIs: https://registry.example.com:5000/apt
		Suites: cloud-prod
		Components: dmp ops
		Signed-By: /etc/apt/keyrings/entrepot-registry.example.com_5000.asc
	END
	put "$work/key" "$keyring"
	put "$work/sources" "$sources"
	# This script once called it so. Apt wants no source twice.
	if grep -qxF 'URIs: https://registry.example.com:5000/apt' "$root$former" 2>/dev/null; then
		rm -f "$root$former"
		echo "entrepot: $root$former is removed"
	fi
	echo 'entrepot: next, run apt-get update'
}

main
