#!/bin/sh
# Checks an evidence package with unzip, OpenSSL 3, coreutils, grep and sed; nothing of ours.
#   sh verify.sh PACKAGE ROOT.crt      a folder or an .asice file; the bureau's root(s), PEM
# Exit code 0 valid, 1 not valid, 2 could not be checked. EVIDENCE.md explains every step, and what
# openssl can do for the suite sm2; this is for es256.
set -u; export LC_ALL=C
stop() { echo "cannot check: $*" >&2; exit 2; }
[ $# = 2 ] && package=$(realpath -e "$1") && root=$(realpath -e "$2") || stop "usage: verify.sh PACKAGE ROOT.crt"
openssl x509 -in "$root" -noout 2>/dev/null && unzip -v >/dev/null || stop "openssl, unzip or the root is missing"
t=$(mktemp -d) && trap 'rm -rf "$t"' EXIT || stop "no temporary folder"
bad=0 M=META-INF later='^META-INF/((ASiCManifest|signature|timestamp|receipt|review)[0-9]{3}\.(xml|p7s|tst|p7m|json)|chain\.jsonl|checkpoint\.p7m)$'
check() { what=$1; shift; if "$@"; then echo "  ok    $what"; else echo "  FAIL  $what"; bad=1; fi; }
field() { tr -d '\n' | grep -o "\"$1\": *\"\{0,1\}[^\",}]*" | head -n 1 | sed 's/^[^:]*: *"*//'; }  # the first in JSON
stated() { tr -d '\n' < evidence.json | sed "s/.*\"$1\": *{/{/" | field "$2"; }                      # below an object
subject() { openssl x509 -in "$t/$1.pem" -noout -subject -nameopt multiline,utf8,-esc_msb | sed -n "s/^ *$2 *= //p"; }
container() { # plain, unique names; nothing compressed, linked or hidden: one meaning for every reader
    if [ -d "$package" ]; then cd "$package" && find . ! -type d | cut -c 3- > "$t/names"; else
        unzip -Z1 "$package" > "$t/names" && mkdir "$t/p" && cd "$t/p" &&
            unzip -Zt "$package" | grep -q ' \([0-9]\{1,9\}\) bytes uncompressed, \1 bytes compressed'; fi || return 1
    [ "$(wc -l < "$t/names")" -le 256 ] && [ -z "$(sort "$t/names" | uniq -d)" ] || return 1
    ! grep -qvE '^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,2}$' "$t/names" || return 1
    [ -d "$package" ] || unzip -qq -P '' "$package" < /dev/null > /dev/null || return 1
    [ -z "$(find . ! -type d ! -type f)" ] && [ "$(cat mimetype)" = application/vnd.etsi.asic-e+zip ]
}
signed() { # $1 signs $3 (without: what it carries), is good at the time it names, and by a certificate for
    # signing documents; leaves content and certificate as $t/$2 and $t/$2.pem
    openssl cms -cmsout -print -inform DER -in "$1" > "$t/$2.txt" || return 1
    at=$(sed -n '/: signingTime/,$ s/^ *[A-Z]*TIME://p' "$t/$2.txt" | head -n 1)
    [ -n "$at" ] && { [ $# = 2 ] || grep -q 'eContent: <ABSENT>' "$t/$2.txt"; } || return 1
    openssl cms -verify -binary -cades -inform DER -in "$1" ${3:+-content "$3"} -CAfile "$root" -purpose any \
        -attime "$(date -ud "$at" +%s)" -signer "$t/$2.pem" -out "$t/$2" &&
        openssl x509 -in "$t/$2.pem" -noout -ext extendedKeyUsage | grep -q '1\.3\.6\.1\.5\.5\.7\.3\.36'
}
digests() { # all that manifest $1 lists is there with its SHA-256, and $2 is listed; leaves $t/list
    { tr -d '\n' < "$1"; echo; } | sed 's/<asic:DataObjectReference/\n&/g' | sed -n \
        's/^<asic:DataObjectReference URI="\([^"]*\)".*<ds:DigestValue>\([^<]*\)<.*/\1 \2/p' > "$t/list"
    [ "$(wc -l < "$t/list")" = "$(grep -c '<asic:DataObjectReference' "$1")" ] && grep -q "^$2 " "$t/list" || return 1
    while read -r name digest; do
        grep -qxF "$name" "$t/names" && [ "$(openssl dgst -sha256 -binary "$name" | base64)" = "$digest" ] ||
            { echo "        $name"; return 1; }
    done < "$t/list"
}
statement() { # UTF-8; lists the manifest's files and digests; the grade is the one its 14 or more conditions give
    [ "$(head -c 1 evidence.json)" = '{' ] && [ "$(wc -c < evidence.json)" -le 1048576 ] || return 1
    ! LC_ALL=C.UTF-8 grep -qavx '.*' evidence.json || return 1
    { tr -d '\n' < evidence.json; echo; } | sed 's/{/\n{/g' | sed -n \
        's/^{ *"name": *"\([^"]*\)", *"type".*"sha256": *"\([0-9a-f]*\)".*/\2  \1/p' | sort > "$t/stated"
    cut -d ' ' -f 1 "$t/signed" | grep -vxF evidence.json | xargs -r sha256sum | sort | cmp -s - "$t/stated" || return 1
    grade=lead; [ "$(grep -c '"pass": true' evidence.json)" -lt 14 ] || grep -qE '"pass": (false|null)' evidence.json || grade=evidence
    [ "$(stated grade grade)" = "$grade" ] || grep -q '"grade": null' evidence.json || ! grep -q '"grade":' evidence.json
}
same() { for f in $2; do [ "$(field "$f" < "$1")" = "$(field "$f" < evidence.json)" ] || return 1; done; } # fields of both
names() { # the JSON $1 names this package's signature, and the signer of $2, who has role $3
    same "$1" id && [ "$(field sig_sha256 < "$1")" = "$sig" ] && [ "$(subject "$2" organizationalUnitName)" = "$3" ] &&
        [ "$(field "$3" < "$1")" = "$(subject "$2" commonName)" ]
}
receipt() { # $1 is a receiver's receipt for this package
    signed "$1" receipt && names "$t/receipt" receipt receiver && same "$t/receipt" seq &&
        [ "$(field device < "$t/receipt")" = "$(stated device id)" ]
}
chain() { # the device's journal from this package's line to the head that the receipt names
    n=$(stated journal n) prev=$(stated journal prev)
    grep -E '"kind":"package.(sealed|adopted)"' $M/chain.jsonl | grep -qF "\"sig_sha256\":\"$sig\"" || return 1
    while IFS= read -r line; do
        case $line in "{\"n\":$n,"*"\"prev\":\"$prev\""*) ;; *) return 1 ;; esac
        prev=$(printf %s "$line" | sha256sum | cut -c -64) n=$((n + 1))
    done < $M/chain.jsonl
    grep -qF "\"hash\":\"$prev\"" "$t/receipt"
}
stamp() { # $1 is a time-stamp over $2 by an authority of this root
    at=$(openssl ts -reply -in "$1" -token_in -text | sed -n 's/^Time stamp: //p') && [ -n "$at" ] && echo "        $at" &&
        openssl ts -verify -data "$2" -in "$1" -token_in -CAfile "$root" -attime "$(date -ud "$at" +%s)" > /dev/null
}
review() { # $1 is a reviewer's signature over $2, which covers the review $3 and the signatures before it
    signed "$1" review "$2" && names "$3" review reviewer && grep -q "^$3 " "$t/list" || return 1
    for s in $M/signature???.p7s; do [ "$s" = "$1" ] && break; grep -q "^$s " "$t/list" || return 1; done
    echo "        $(field verdict < "$3") by $(field reviewer < "$3"), $(field at < "$3")"
}
orphans() { grep -E '^META-INF/(review|signature|timestamp)...\.' "$t/names" | grep -vxFf "$t/covered"; }

exec 2> /dev/null # what is missing is a finding, not a fault of this script
check "container is ASiC-E, names plain and unique" container
[ $bad = 0 ] || { echo "NOT VALID"; exit 1; }
check "device's signature, certificate for documents, chain" signed $M/signature001.p7s device $M/ASiCManifest001.xml
check "every listed file is there and unchanged" digests $M/ASiCManifest001.xml evidence.json
mv "$t/list" "$t/signed"; { echo mimetype; echo $M/signature001.p7s; cut -d ' ' -f 1 "$t/signed"; } > "$t/covered"
check "no file outside the signature" [ -z "$(grep -vxFf "$t/covered" "$t/names" | grep -vE "$later")" ]
check "statement agrees with the list and with itself" statement
check "statement is by the device that signed" [ "$(stated device id)" = "$(subject device serialNumber)" ]
sig=$(sha256sum < $M/signature001.p7s | cut -c -64)
[ ! -f $M/receipt002.p7m ] || check "later receipt is a receiver's, for this package" receipt $M/receipt002.p7m
[ ! -f $M/receipt001.p7m ] || check "receipt is a receiver's, for this package" receipt $M/receipt001.p7m
[ ! -f $M/chain.jsonl ] || ! grep -q '"head":{' "$t/receipt" || check "journal unbroken from this package to the receipt's head" chain
for m in $(grep '^META-INF/ASiCManifest...\.xml' "$t/names" | grep -v 001 | sort); do
    n=${m%.xml} n=${n#"$M/ASiCManifest"} by=$(sed -n 's/.*<asic:SigReference URI="\([^"]*\)".*/\1/p' "$m")
    check "$m: what it lists is unchanged, and of this package" digests "$m" $M/signature001.p7s
    case $by in *.tst) [ ! -f "$by" ] || check "  time-stamp" stamp "$by" "$m" ;;
    *) check "  review" review "$M/signature$n.p7s" "$m" "$M/review$n.json" ;; esac
    { echo "$by"; cut -d ' ' -f 1 "$t/list"; } >> "$t/covered"
done
check "no review or time-stamp without its manifest" [ -z "$(orphans)" ]
[ $bad = 0 ] && echo VALID || { echo "NOT VALID"; exit 1; }
