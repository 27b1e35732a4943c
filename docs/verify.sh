#!/bin/bash
# verify.sh PACKAGE ROOT.crt - is this evidence package (a folder or an .asice file) whole, and whose is it?
#
# Needs bash 4.4, unzip, OpenSSL 3 and coreutils, no network, and of Lingmou this page and verify-forms.sh beside
# it: here stands what is asked, there which form each file must have. ROOT.crt holds the bureau's root(s); no
# other is trusted. Ends with 0: VALID, 1: NOT VALID, 2: cannot check. docs/EVIDENCE.md tells each step by hand.
[ "${BASH_VERSION-}" ] || exec bash "$0" "$@"
set -u; shopt -s extglob globstar dotglob nullglob; export LC_ALL=C SSL_CERT_DIR=/nonexistent
cannot() { echo "cannot check: $*"; exit 2; }
check() { local what=$1; shift; if "$@"; then echo "  ok    $what"; else echo "  FAIL  $what"; bad=1; fi; }
[ $# = 2 ] && here=$(realpath -e "$0") && command . "${here%/*}/verify-forms.sh" && package=$(realpath -e "$1") &&
    root=$(realpath -e "$2") && openssl x509 -in "$root" -noout && [ -r "$package" ] && unzip -v > /dev/null &&
    [[ $(openssl version) =~ ^OpenSSL\ [3-9] ]] && t=$(mktemp -d) || {
    echo "cannot check; usage: verify.sh PACKAGE ROOT.crt, with OpenSSL 3, unzip and verify-forms.sh" >&2; exit 2; }
trap 'rm -rf "$t"' EXIT; bad=0 M=META-INF; exec 2> /dev/null # what is missing from here on is a finding
looks_like_one "$package" || cannot "$1 is no package"

# $1 is a CMS signature (CAdES) over file $3, or over what it carries: good at the time it names itself, by one
# certificate that is for documents and leads to the root. What was signed is put into $t/$2, who did into $t/$2.pem.
signed() { form "$@" && if is_sm2; then sm2 "$@"; else openssl cms -verify -binary -cades -inform DER \
    -in "$1" ${3:+-content "$3"} -CAfile "$root" -purpose any -attime "$at" -out "$t/$2" -signer "$t/$2.pem" \
    -certsout "$t/certs" && split; fi && for_documents "$2" && needed "$2"; }
device() { [ "$(named device serialNumber)" = "$(stated device id)" ] && [ "$(stated device id)" ] && # no person's
    [[ ! $(subject device)$nl =~ organizationalUnitName\ *=\ (receiver|reviewer|view|operate|admin)$nl ]]; }
receipt() { signed "$1" receipt && names "$t/receipt" receipt receiver && # $1 is a receiver's, of this package
    [ "$(field seq "$it") $(field device "$it")" = "$(field seq "$said") $(stated device id)" ] && received "$it"; }
stamp() { # $1 is a time-stamp (RFC 3161) over $2 by an authority of this root; the second is printed
    form "$1" token && stamped "$1" && openssl ts -verify -data "$2" -in "$1" -token_in -CAfile "$root" \
        -attime "$(date -ud "$at" +%s)" > "$t/ok" && echo "        $at"; }
review() { # $1 is a reviewer's signature over manifest $2, which lists his word $3 and all signatures before his
    signed "$1" review "$2" && names "$3" review reviewer && reviewed "$it" && for f in $M/signature???.p7s "$3"; do
        [[ $f < $1 || $f = "$3" ]] || continue; [ "${list[$f]-}" ] || return 1; done &&
        echo "        $(field verdict "$it") by $(field reviewer "$it"), $(field at "$it")"; }

# 1. What is in it, and nothing of it can be read in two ways.
check "container is ASiC-E, names plain and unique" container; [ $bad = 0 ] || { echo "NOT VALID"; exit 1; }
said=$(head -c 1048577 evidence.json | tr -d '\n') sig=$(sha256sum < $M/signature001.p7s | cut -c -64)

# 2. The device signed the list of files (ASiCManifest001.xml), and each is what the list says (SHA-256). A box
#    removes its pictures once a receiver has stored them; then a receipt must say so, and all must be gone.
check "device's signature, certificate for documents, chain" \
    signed $M/signature001.p7s device $M/ASiCManifest001.xml
x=${names[*]##@($M/*|mimetype|evidence.json)} pruned= gone=
[[ ! -f $M/receipt001.p7m || $x == *[!\ ]* ]] || pruned=", or gone with all others,"
check "every listed file is there$pruned and unchanged" digests $M/ASiCManifest001.xml evidence.json; pruned=
for f in mimetype $M/signature001.p7s $M/ASiCManifest001.xml "${!list[@]}"; do covered[$f]=1; done

# 3. What it states has all it must have, the same files, and the grade that follows; and it is the signer's.
check "statement agrees with the list and with itself" statement
check "statement is by the device that signed" device

# 4. Receivers confirmed it; the device's journal leads on, line by line, to the head that the first of them was shown.
for n in 2 1; do f=$M/receipt00$n.p7m; rm -f "$t/receipt"; it=; [ ! -f $f ] ||
    { covered[$f]=1; check "receipt 00$n is a receiver's, for this package" receipt $f; }; done
[[ ! $gone || $it =~ \"verdict\"$w:$w\"stored\" ]] ||
    check "every listed file is there, or stored by the receiver" false
head=$(first '("head":\{.*)' "$(< "$t/receipt")") end="on; nobody has signed its end"
[ ! "$head" ] || end="to receipt"
[ ! -f $M/chain.jsonl ] || { check "journal unbroken from package $end" chain; covered[$M/chain.jsonl]=1; }

# 5. What was added later: a time-stamp, and reviews. Each has a manifest of its own.
for m in $M/ASiCManifest[0-9][0-9][0-9].xml; do n=${m%.xml} n=${n#"$M/ASiCManifest"}; [ "$n" != 001 ] || continue
    check "$m: what it lists is unchanged, and of this package" digests "$m" $M/signature001.p7s
    [ "$n" = 000 ] || covered[$m]=1; case ${by-} in
    $M/timestamp*) covered[$by]=1; [ ! -f "$by" ] || check "  time-stamp" stamp "$by" "$m" ;;
    $M/signature$n.p7s) covered[$by]=1 covered[$M/review$n.json]=1
        check "  review" review "$by" "$m" "$M/review$n.json" ;;
    *) check "  names its signature or time-stamp" false ;; esac; done
# 6. Nothing else lies in it.
check "no file outside the signatures" inside; [ $bad = 0 ] || { echo "NOT VALID"; exit 1; }
[ ! "$gone" ] || cannot "pictures and video are not here; a box removes them after the receipt: verify the receiver's"
echo "        not looked at: whether the bureau has revoked a certificate (EVIDENCE.md)"; echo VALID
