#!/bin/bash
# bash verify.sh PACKAGE ROOT.crt: checks a package (folder or .asice) against the bureau's root(s), and no other, with
# unzip, OpenSSL 3 and coreutils. Exit code 0 valid, 1 not valid, 2 could not be checked. See EVIDENCE.md.
[ "${BASH_VERSION-}" ] || exec bash "$0" "$@"; set -u; export LC_ALL=C SSL_CERT_DIR=/nonexistent; M=META-INF nl=$'\n'
shopt -s extglob globstar dotglob nullglob; declare -A is covered; names=() bad=0 sm2id=distid:1234567812345678
[ $# = 2 ] && package=$(realpath -e "$1") && root=$(realpath -e "$2") && openssl x509 -in "$root" -noout &&
    unzip -v > /dev/null && t=$(mktemp -d) || { echo "cannot check; usage: verify.sh PACKAGE ROOT.crt" >&2; exit 2; }
trap 'rm -rf "$t"' EXIT; exec 2> /dev/null # what is missing from here on is a finding
check() { local what=$1; shift; if "$@"; then echo "  ok    $what"; else echo "  FAIL  $what"; bad=1; fi; }
first() { [[ $2 =~ $1 ]] && echo "${BASH_REMATCH[1]}"; } # what the brackets of expression $1 hold in text $2
field() { first "\"$1\": *\"?([^\",}]*)" "$2"; } # of JSON text $2
stated() { field "$2" "$(first ".*\"$1\": *(\{.*)" "$said")"; } # by the statement, below object $1
subject() { openssl x509 -in "$t/$1.pem" -noout -subject -nameopt multiline,utf8,-esc_msb; } # of signer $1
named() { local s; s=$nl$(subject "$1") && [[ ! $s =~ $nl\ *$2\ .*$nl\ *$2\  ]] && first "$nl *$2 *= ([^$nl]+)" "$s"; }
container() { # plain, unique names; nothing compressed, locked, linked or hidden: one meaning for every reader
    local f part='[A-Za-z0-9_][A-Za-z0-9._-]*'
    if [ -d "$package" ]; then cd "$package" && for f in **; do [ -d "$f" ] && [ ! -L "$f" ] || names+=("$f"); done
    else mkdir "$t/p" && cd "$t/p" && mapfile -t names < <(unzip -Z1 "$package") && # one disk, nothing behind its end
        [[ $(tail -c 22 "$package" | od -An -vtx1 | tr -d ' \n') =~ ^504b050600000000(....)(....).*0000$ ]] &&
        [ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] &&
        [[ $(unzip -Zt "$package") =~ \ ([0-9]{1,9})\ bytes\ uncompressed,\ ([0-9]*)\ bytes\ compressed ]] &&
        [ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] && # and no second name (Info-ZIP's Unicode Path)
        [[ $(unzip -Zv "$package") != *'ID 0x7075'* ]]; fi && [ ${#names[@]} -le 256 ] &&
        for f in "${names[@]}"; do [[ $f =~ ^$part(/$part){0,2}$ && ! ${is[$f]-} ]] && is[$f]=1 || return 1; done &&
        { [ -d "$package" ] || unzip -qq -P '' "$package" < /dev/null > /dev/null; } &&
        for f in "${names[@]}"; do [ -f "$f" ] && [ ! -L "$f" ] || return 1; done &&
        [ "$(< mimetype)" = application/vnd.etsi.asic-e+zip ]; }
signed() { # $1 signs $3, or what it carries, well at the time it names, by a certificate for documents; gives $t/$2
    cms=$(openssl cms -cmsout -print -inform DER -in "$1") && signer=$(first "$nl *signerInfos:(.*)" "$cms") &&
        at=$(first "$nl *[A-Z]*TIME:([^$nl]*)" "$(first '(: signingTime.*)' "$signer")") &&
        at=$(date -ud "$at" +%s) && [[ ($# = 2 || $cms == *'eContent: <ABSENT>'*) && $cms =~ crls:$nl\ *\<ABSENT\> &&
        $signer =~ unsignedAttrs:$nl\ *\<ABSENT\> ]] || return 1 # nothing beside, that anybody could change
    if [[ $signer == *'algorithm: SM2-with-SM3'* ]]; then sm2 "$@"; else openssl cms -verify -binary -cades \
        -inform DER -in "$1" ${3:+-content "$3"} -CAfile "$root" -purpose any -attime "$at" -out "$t/$2" \
        -signer "$t/$2.pem"; fi && [[ $(openssl x509 -in "$t/$2.pem" -noout -ext extendedKeyUsage), =~ \
        \ 1\.3\.6\.1\.5\.5\.7\.3\.36, ]]; }
sm2() { # the same step by step, as `cms -verify` knows no signer id: content, certificate, signature, way to the root
    [[ $(openssl list -public-key-algorithms) == *SM2* ]] || { echo "cannot check: openssl knows no SM2"; exit 2; }
    openssl cms -verify -noverify -no_attr_verify -binary -inform DER -in "$1" ${3:+-content "$3"} -out "$t/$2" \
        -signer "$t/$2.pem" -certsout "$t/certs" && [[ ! $signer =~ \ signedAttrs:.*\ signedAttrs: ]] &&
        { printf 1; part "$1" 'cons: cont \[ 0 \]' | tail -c +2; } > "$t/signed" && # as a SET (RFC 5652, 5.4)
        hash=$(openssl x509 -in "$t/$2.pem" -outform DER | openssl dgst -sm3 -r | cut -c -64) &&
        [[ $(openssl asn1parse -inform DER -in "$t/signed") == *"DUMP]:${hash^^}"* ]] &&
        openssl x509 -in "$t/$2.pem" -noout -pubkey > "$t/pub" && part "$1" 'prim: OCTET STRING' > "$t/value" &&
        openssl dgst -sm3 -sigopt $sm2id -verify "$t/pub" -signature "$t/value" "$t/signed" > "$t/ok" &&
        cp "$root" "$t/way" && rm -f "$t"/ca-* && csplit -szf "$t/ca-" "$t/certs" /BEGIN/ '{*}' || return 1
    for ca in "$t"/ca-* "$t"/ca-* "$t/$2.pem"; do openssl verify -partial_chain -vfyopt $sm2id -attime "$at" \
        -CAfile "$t/way" "$ca" > "$t/ok" && cat "$ca" >> "$t/way"; done; }
part() { openssl asn1parse -inform DER -in "$1" -noout -out /dev/stdout -strparse "$(first \
    ".*$nl *([0-9]*):d=5 [^$nl]*$2" "$(openssl asn1parse -inform DER -in "$1")")"; } # the last: the signer's
digests() { # all that manifest $1 lists, $2 among it, is there with its SHA-256; gives the list
    local tag f=; unset list; declare -gA list; while IFS= read -rd '<' tag; do case $tag in
        asic:DataObjectReference*) [ ! "$f" ] && f=$(first '^[^ ]* URI="([A-Za-z0-9._/-]*)"' "$tag") || return 1 ;;
        ds:DigestValue*) [[ $f && ! ${list[$f]-} ]] && list[$f]=${tag#*>} f= || return 1 ;; esac
    done < <(tr -d '\n' < "$1"); [[ ! $f && ${list[$2]-} ]] && for f in "${!list[@]}"; do [[ ${is[$f]-} &&
        $(openssl dgst -sha256 -binary "$f" | base64) = "${list[$f]}" ]] || { echo "        $f"; return 1; }; done; }
statement() { # UTF-8; states the digests of the listed files, and the grade that its conditions, 15 of every case, give
    local f n=15 follows=lead pass='"pass": true'; [[ $(tr -d '\n' < evidence.json | wc -c) = ${#said} &&
        ${#said} -le 1048576 && $said == '{'* && "$(field v "$said") $(field type "$said")" =~ \
        ^1\ lingmou\.(evidence|capture)$ ]] && (LC_ALL=C.UTF-8; [[ $said =~ ^.*$ ]]) || return 1
    [ "$(for f in "${!list[@]}"; do [ "$f" = evidence.json ] || sha256sum "$f"; done | sort)" = "$(
        n='^ *"name": *"([^"]*)", *"type".*"sha256": *"([^"]*)"'; while IFS= read -rd '{' f; do [[ $f =~ $n ]] &&
        echo "${BASH_REMATCH[2]}  ${BASH_REMATCH[1]}"; done <<< "$said{" | sort)" ] || return 1
    [[ $said =~ \"grade\":\ *[^\ n] ]] || return 0 # none is stated
    f=${said//$pass}; [[ $said != *'"same_subject"'* ]] || n=16 # who persisted has one condition more
    [[ $(((${#said} - ${#f}) / ${#pass})) -lt $n || $said =~ \"pass\":\ [fn] ]] || follows=evidence
    [ "$(stated grade grade)" = $follows ]; }
names() { # the JSON $1, a $2, names this package, its signature, and the signer of $2, who has role $3; gives $it
    it=$(tr -d '\n' < "$1") && [ "$(field v "$it") $(field type "$it")" = "1 lingmou.$2" ] &&
        [ "$(named "$2" organizationalUnitName)" = "$3" ] && [ "$(field id "$it") $(field sig_sha256 "$it") $(
        field "$3" "$it")" = "$(field id "$said") $sig $(named "$2" commonName)" ]; }
receipt() { signed "$1" receipt && names "$t/receipt" receipt receiver && # $1 is a receiver's, for this package
    [ "$(field seq "$it") $(field device "$it")" = "$(field seq "$said") $(stated device id)" ]; }
chain() { # the device's journal from this package's line to the head that the receipt names
    local line sealed= n prev; n=$(stated journal n) prev=$(stated journal prev); while IFS= read -r line ||
        [ "$line" ]; do [[ $line == "{\"n\":$n,"*"\"prev\":\"$prev\""* ]] || return 1
        [[ $line =~ \"kind\":\"package.(sealed|adopted)\" && $line == *"\"sig_sha256\":\"$sig\""* ]] && sealed=1
        n=$((n + 1)) prev=$(printf %s "$line" | sha256sum | cut -c -64); done < $M/chain.jsonl
    line=$(< "$t/receipt"); [[ $sealed && ($line != *'"head":{'* || $line == *"\"hash\":\"$prev\""*) ]]; }
stamp() { # $1 is a time-stamp over $2 by an authority of this root
    at=$(first "${nl}Time stamp: ([^$nl]*)" "$(openssl ts -reply -in "$1" -token_in -text)") && openssl ts -verify \
        -data "$2" -in "$1" -token_in -CAfile "$root" -attime "$(date -ud "$at" +%s)" > "$t/ok" && echo "        $at"; }
review() { # $1 is a reviewer's signature over $2, which covers the review $3 and the signatures before it
    signed "$1" review "$2" && names "$3" review reviewer && for f in $M/signature???.p7s "$3"; do
        [[ $f < $1 || $f = "$3" ]] || continue; [ "${list[$f]-}" ] || return 1; done &&
        echo "        $(field verdict "$it") by $(field reviewer "$it"), $(field at "$it")"; }
device() { [ "$(named device serialNumber)" = "$(stated device id)" ] && [ "$(stated device id)" ] && # no person's
    [[ ! $(subject device)$nl =~ organizationalUnitName\ *=\ (receiver|reviewer|view|operate|admin)$nl ]]; }
inside() { for f in "${names[@]}"; do [[ ${covered[$f]-} || $f =~ \
    ^$M/(ASiCManifest[0-9]{3}\.xml|receipt[0-9]{3}\.p7m|chain\.jsonl|checkpoint\.p7m)$ ]] || return 1; done; }
check "container is ASiC-E, names plain and unique" container; [ $bad = 0 ] || { echo "NOT VALID"; exit 1; }
said=$(head -c 1048577 evidence.json | tr -d '\n') sig=$(sha256sum < $M/signature001.p7s | cut -c -64)
check "device's signature, certificate for documents, chain" signed $M/signature001.p7s device $M/ASiCManifest001.xml
check "every listed file is there and unchanged" digests $M/ASiCManifest001.xml evidence.json
for f in mimetype $M/signature001.p7s "${!list[@]}"; do covered[$f]=1; done
check "statement agrees with the list and with itself" statement
check "statement is by the device that signed" device
for n in 2 1; do [ ! -f $M/receipt00$n.p7m ] || # the journal below goes to the first one
    check "receipt 00$n is a receiver's, for this package" receipt $M/receipt00$n.p7m; done
[ ! -f $M/chain.jsonl ] || check "journal unbroken from package to receipt" chain
for m in $M/ASiCManifest!(001).xml; do n=${m%.xml} n=${n#"$M/ASiCManifest"}
    check "$m: what it lists is unchanged, and of this package" digests "$m" $M/signature001.p7s
    by=$(first 'SigReference URI="([A-Za-z0-9./-]*)"' "$(< "$m")"); case $by in
    $M/timestamp[0-9][0-9][0-9].tst) covered[$by]=1; [ ! -f "$by" ] || check "  time-stamp" stamp "$by" "$m" ;;
    $M/signature$n.p7s) covered[$by]=1 covered[$M/review$n.json]=1
        check "  review" review "$by" "$m" "$M/review$n.json" ;;
    *) check "  names its signature or time-stamp" false ;; esac; done
check "no file outside the signatures" inside
[ $bad = 0 ] && echo VALID || { echo "NOT VALID"; exit 1; }
