#!/bin/sh
# sh verify.sh PACKAGE ROOT.crt: checks a package (folder or .asice) against the bureau's root(s), and no other, with
# unzip, OpenSSL 3, coreutils, grep and sed. Exit code 0 valid, 1 not valid, 2 could not be checked. See EVIDENCE.md.
set -u; export LC_ALL=C SSL_CERT_DIR=/nonexistent; M=META-INF bad=0 id=distid:1234567812345678 # SM2 signer, GM/T 0009
[ $# = 2 ] && package=$(realpath -e "$1") && root=$(realpath -e "$2") && openssl x509 -in "$root" -noout &&
    unzip -v > /dev/null && t=$(mktemp -d) || { echo "cannot check; usage: verify.sh PACKAGE ROOT.crt" >&2; exit 2; }
trap 'rm -rf "$t"' EXIT; exec 2> /dev/null # what is missing from here on is a finding
check() { what=$1; shift; if "$@"; then echo "  ok    $what"; else echo "  FAIL  $what"; bad=1; fi; }
field() { tr -d '\n' < "$2" | grep -o "\"$1\": *\"\{0,1\}[^\",}]*" | head -n 1 | sed 's/^[^:]*: *"*//'; } # the first
stated() { tr -d '\n' < evidence.json | sed "s/.*\"$1\": *{/{/" > "$t/in"; field "$2" "$t/in"; } # below an object
subject() { openssl x509 -in "$t/$1.pem" -noout -subject -nameopt multiline,utf8,-esc_msb | sed -n "s/^ *$2 *= //p"; }
container() { # plain, unique names; nothing compressed, locked, linked or hidden: one meaning for every reader
    if [ -d "$package" ]; then cd "$package" && find . ! -type d | cut -c 3- > "$t/names"
    else mkdir "$t/p" && cd "$t/p" && unzip -Z1 "$package" > "$t/names" &&
        unzip -Zt "$package" | grep -q ' \([0-9]\{1,9\}\) bytes uncompressed, \1 bytes compressed'; fi &&
        [ "$(wc -l < "$t/names")" -le 256 ] && [ -z "$(sort "$t/names" | uniq -d)" ] &&
        ! grep -qvE '^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,2}$' "$t/names" &&
        { [ -d "$package" ] || unzip -qq -P '' "$package" < /dev/null > /dev/null; } &&
        [ -z "$(find . ! -type d ! -type f)" ] && [ "$(cat mimetype)" = application/vnd.etsi.asic-e+zip ]; }
signed() { # $1 signs $3, or what it carries, well at the time it names, by a certificate for documents; gives $t/$2
    openssl cms -cmsout -print -inform DER -in "$1" > "$t/cms" && sed '1,/^ *signerInfos:/d' "$t/cms" > "$t/signer" &&
        at=$(sed -n '/: signingTime/,$ s/^ *[A-Z]*TIME://p' "$t/signer" | head -n 1 | date -uf - +%s) &&
        { [ $# = 2 ] || grep -q 'eContent: <ABSENT>' "$t/cms"; } || return 1
    if grep -q 'algorithm: SM2-with-SM3' "$t/signer"; then sm2 "$@"; else openssl cms -verify -binary -cades \
        -inform DER -in "$1" ${3:+-content "$3"} -CAfile "$root" -purpose any -attime "$at" -out "$t/$2" \
        -signer "$t/$2.pem"; fi && openssl x509 -in "$t/$2.pem" -noout -ext extendedKeyUsage |
        grep -qwF 1.3.6.1.5.5.7.3.36; }
sm2() { # the same step by step, as `cms -verify` knows no signer id: content, certificate, signature, way to the root
    openssl list -public-key-algorithms | grep -q SM2 || { echo "cannot check: this openssl knows no SM2"; exit 2; }
    openssl cms -verify -noverify -no_attr_verify -binary -inform DER -in "$1" ${3:+-content "$3"} -out "$t/$2" \
        -signer "$t/$2.pem" -certsout "$t/certs" && [ "$(grep -c ' signedAttrs:' "$t/signer")" = 1 ] &&
        { printf 1; part "$1" 'cons: cont \[ 0 \]' | tail -c +2; } > "$t/signed" && # as a SET (RFC 5652, 5.4)
        openssl asn1parse -inform DER -in "$t/signed" | grep -qi "DUMP\]:$(openssl x509 -in "$t/$2.pem" -outform DER |
            openssl dgst -sm3 -r | cut -c -64)" && openssl x509 -in "$t/$2.pem" -noout -pubkey > "$t/pub" &&
        part "$1" 'prim: OCTET STRING' > "$t/value" && openssl dgst -sm3 -sigopt $id -verify "$t/pub" \
        -signature "$t/value" "$t/signed" > "$t/said" && cp "$root" "$t/way" && rm -f "$t"/ca-* || return 1
    csplit -szf "$t/ca-" "$t/certs" /BEGIN/ '{*}'; for ca in "$t"/ca-* "$t"/ca-* "$t/$2.pem"; do openssl verify \
        -partial_chain -vfyopt $id -attime "$at" -CAfile "$t/way" "$ca" > "$t/said" && cat "$ca" >> "$t/way"; done; }
part() { openssl asn1parse -inform DER -in "$1" -noout -out /dev/stdout -strparse "$(openssl asn1parse -inform DER \
    -in "$1" | sed -n "s/^ *\([0-9]*\):d=5 .* $2.*/\1/p" | tail -n 1)"; } # the last: no certificate's, the signer's
digests() { # all that manifest $1 lists, $2 among it, is there with its SHA-256; gives $t/list
    { tr -d '\n' < "$1"; echo; } | sed 's/<asic:DataObjectReference/\n&/g' | sed -n \
        's/^<asic:DataObjectReference URI="\([^"]*\)".*<ds:DigestValue>\([^<]*\)<.*/\1 \2/p' > "$t/list"
    [ "$(wc -l < "$t/list")" = "$(grep -c '<asic:DataObjectReference' "$1")" ] && grep -q "^$2 " "$t/list" &&
        while read -r name digest; do grep -qxF "$name" "$t/names" &&
            [ "$(openssl dgst -sha256 -binary "$name" | base64)" = "$digest" ] || { echo "        $name"; return 1; }
        done < "$t/list"; }
statement() { # UTF-8; states the digests of the listed files, and the grade that its conditions, 15 of every case, give
    case "$(field v evidence.json) $(field type evidence.json)" in
        "1 lingmou.evidence" | "1 lingmou.capture") ;; *) return 1 ;; esac
    [ "$(head -c 1 evidence.json)" = '{' ] && [ "$(wc -c < evidence.json)" -le 1048576 ] &&
        ! LC_ALL=C.UTF-8 grep -qavx '.*' evidence.json || return 1
    { tr -d '\n' < evidence.json; echo; } | sed 's/{/\n{/g' | sed -n \
        's/^{ *"name": *"\([^"]*\)", *"type".*"sha256": *"\([0-9a-f]*\)".*/\2  \1/p' | sort > "$t/stated"
    cut -d ' ' -f 1 "$t/list" | grep -vxF evidence.json | xargs -r sha256sum | sort | cmp -s - "$t/stated" || return 1
    is=$(stated grade grade) follows=evidence; grep -q '"grade":' evidence.json && [ "$is" != null ] || return 0
    n=$((15 + $(grep -c '"same_subject"' evidence.json))) # who persisted has one condition more
    [ "$(grep -c '"pass": true' evidence.json)" -ge $n ] && ! grep -q '"pass": [fn]' evidence.json || follows=lead
    [ "$is" = $follows ]; }
names() { # the JSON $1, a $2, names this package, its signature, and the signer of $2, who has role $3
    [ "$(field v "$1") $(field type "$1")" = "1 lingmou.$2" ] &&
        [ "$(field id "$1") $(field sig_sha256 "$1") $3 $(field "$3" "$1")" = \
        "$(field id evidence.json) $sig $(subject "$2" organizationalUnitName) $(subject "$2" commonName)" ]; }
receipt() { signed "$1" receipt && names "$t/receipt" receipt receiver && # $1 is a receiver's, for this package
    [ "$(field seq "$t/receipt") $(field device "$t/receipt")" = "$(field seq evidence.json) $(stated device id)" ]; }
chain() { # the device's journal from this package's line to the head that the receipt names
    grep -E '"kind":"package.(sealed|adopted)"' $M/chain.jsonl | grep -qF "\"sig_sha256\":\"$sig\"" || return 1
    n=$(stated journal n) prev=$(stated journal prev); while IFS= read -r line; do
        case $line in "{\"n\":$n,"*"\"prev\":\"$prev\""*) ;; *) return 1 ;; esac
        prev=$(printf %s "$line" | sha256sum | cut -c -64) n=$((n + 1)); done < $M/chain.jsonl
    grep -qF "\"hash\":\"$prev\"" "$t/receipt"; }
stamp() { # $1 is a time-stamp over $2 by an authority of this root
    at=$(openssl ts -reply -in "$1" -token_in -text | sed -n 's/^Time stamp: //p') && [ -n "$at" ] &&
        openssl ts -verify -data "$2" -in "$1" -token_in -CAfile "$root" -attime "$(date -ud "$at" +%s)" > /dev/null &&
        echo "        $at"; }
review() { # $1 is a reviewer's signature over $2, which covers the review $3 and the signatures before it
    signed "$1" review "$2" && names "$3" review reviewer && for f in $M/signature???.p7s; do
        [ "$f" = "$1" ] && break; grep -q "^$f " "$t/list" || return 1; done && grep -q "^$3 " "$t/list" &&
        echo "        $(field verdict "$3") by $(field reviewer "$3"), $(field at "$3")"; }
check "container is ASiC-E, names plain and unique" container; [ $bad = 0 ] || { echo "NOT VALID"; exit 1; }
check "device's signature, certificate for documents, chain" signed $M/signature001.p7s device $M/ASiCManifest001.xml
check "every listed file is there and unchanged" digests $M/ASiCManifest001.xml evidence.json
check "statement agrees with the list and with itself" statement
check "statement is by the device that signed" [ "$(stated device id)" = "$(subject device serialNumber)" ]
sig=$(sha256sum < $M/signature001.p7s | cut -c -64)
{ printf '%s\n' mimetype $M/signature001.p7s; cut -d ' ' -f 1 "$t/list"; } > "$t/covered"
[ ! -f $M/receipt002.p7m ] || check "later receipt is a receiver's, for this package" receipt $M/receipt002.p7m
[ ! -f $M/receipt001.p7m ] || check "receipt is a receiver's, for this package" receipt $M/receipt001.p7m
[ ! -f $M/chain.jsonl ] || ! grep -q '"head":{' "$t/receipt" || check "journal unbroken from package to receipt" chain
for m in $(grep -x "$M/ASiCManifest...\.xml" "$t/names" | grep -v 001 | sort); do
    n=${m%.xml} n=${n#"$M/ASiCManifest"} by=$(sed -n 's/.*<asic:SigReference URI="\([^"]*\)".*/\1/p' "$m")
    check "$m: what it lists is unchanged, and of this package" digests "$m" $M/signature001.p7s
    case $by in *.tst) echo "$by" >> "$t/covered"; [ ! -f "$by" ] || check "  time-stamp" stamp "$by" "$m" ;;
    *) printf '%s\n' "$M/signature$n.p7s" "$M/review$n.json" >> "$t/covered"
        check "  review" review "$M/signature$n.p7s" "$m" "$M/review$n.json" ;; esac; done
check "no file outside the signatures" [ -z "$(grep -vxFf "$t/covered" "$t/names" | grep -vE \
    "^$M/(ASiCManifest[0-9]{3}\.xml|receipt[0-9]{3}\.p7m|chain\.jsonl|checkpoint\.p7m)\$")" ]
[ $bad = 0 ] && echo VALID || { echo "NOT VALID"; exit 1; }
