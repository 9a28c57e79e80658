# A fresh Debian 12 in the folder $root, made with debootstrap from the mirror of this machine's apt.
# Sourced behind scripts/setup.sh, as root; the caller sets tmp (a folder) and root (one in it).
# shellcheck shell=bash disable=SC2154

# in_own_namespace PROGRAM [ARGUMENT...]: starts the program anew where what is mounted vanishes with
# it.
in_own_namespace() {
  [ -z "${GUMBELSPEC_IN_NAMESPACE:-}" ] || return 0
  has_program debootstrap || apt_get -- -y --no-install-recommends install debootstrap ||
    die "debootstrap is missing and cannot be installed"
  GUMBELSPEC_IN_NAMESPACE=1 exec unshare --mount "$@"
}

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }

# apt-get in it, silent unless it fails.
apt_inside() {
  inside DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$@" \
    >"$tmp/apt.log" 2>&1 || {
    tail -n 20 "$tmp/apt.log" >&2
    die "apt-get $* failed; its output stands above"
  }
}

make_debian_root() {
  local mirror
  # shellcheck disable=SC2016  # apt's own names
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
    'Created-By: Packages' | awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
  [ -n "$mirror" ] || die "this machine's apt knows no mirror of Debian 12 (bookworm)"
  debootstrap --variant=minbase bookworm "$root" "$mirror" >"$tmp/debootstrap.log" 2>&1 || {
    tail -n 20 "$tmp/debootstrap.log" >&2
    die "debootstrap failed; its output stands above"
  }
  cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # Authorities that this machine trusts besides Debian's, as networks behind a proxy need.
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
  mount -t proc proc "$root/proc"
  mount --bind /dev "$root/dev"
  apt_inside update
}

unmount_debian_root() { umount "$root/proc" "$root/dev" 2>/dev/null || true; }
