# What verify.sh asks of the form of things: read by it, not run. Every file of a package has one form, the one that this
# program or openssl writes, so that no two readers see two things in it; what has another form is refused. Zip is walked
# through by its bytes, and so are signatures (DER); JSON and XML are read with bash's regular expressions.
#
# Given: $package, $root, $t (a folder for what is made on the way), $M; what a function gives stands beside its name.

nl=$'\n'; w="[ $nl]*" S='"([^"\[:cntrl:]]|\\(["\/bfnrt]|u00[01][0-9a-f]))*"' # of JSON: white space, a string
names=(); declare -A is covered || exit 2 # the files; which are there; which somebody has signed or was looked at

looks_like_one() { [[ -e $1/mimetype || -e $1/evidence.json || -e $1/$M || $(head -c 4 "$1" | od -An -vtx1) = ' 50 4b 03 04' ||
    $(tail -c 65557 "$1" | od -An -vtx1 | tr -d '\n') = *' 50 4b 05 06'* ]]; } # a package, whole or not
first() { [[ $2 =~ $1 ]] && echo "${BASH_REMATCH[1]}"; } # what the brackets of expression $1 hold in text $2
field() { local s='"(([^"\]|\\.)*)"'; [[ $2 =~ \"$1\"$w:$w($s|[^\",}\ ]*) ]] && # of JSON text $2, as it is written there
    echo "${BASH_REMATCH[2]:-${BASH_REMATCH[1]#\"\"}}"; }
utc() { [[ $1 =~ ^[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}(\.[0-9]{1,9})?Z$ ]] && date -ud "$1" > "$t/ok"; }
text() { local x; [ "$(tr -d '\0' < "$1" | wc -c)" = "$(wc -c < "$1")" ] && x=$(< "$1") && (LC_ALL=C.UTF-8; [[ $x =~ ^.*$ ]]); }
plain() { # $1 is one object of strings, whole numbers and such objects, and what counts stands in it once (EVIDENCE.md); gives $it
    local k v o; v="($S|-?[0-9]+|true|false|null)"; o="\\{$w$S$w:$w$v$w(,$w$S$w:$w$v$w)*}"; [ "$(wc -c < "$1")" -le 16384 ] && text "$1" &&
        it=$(< "$1") && [[ $it =~ ^\{$w$S$w:$w($v|$o)$w(,$w$S$w:$w($v|$o)$w)*\}$w$ && $it =~ \"v\"$w:${w}1$w[,}] ]] || return 1
    for k in v type id device seq sig_sha256 verdict why reason copies head hash at receiver reviewer; do
        [[ $it != *\"$k\"*([ $nl]):*\"$k\"*([ $nl]):* ]] || return 1; done; }
stated() { field "$2" "$(first ".*\"$1\": *(\{.*)" "$said")"; } # by the statement, below object $1
subject() { openssl x509 -in "$t/$1.pem" -noout -subject -nameopt multiline,utf8,-esc_msb; } # of signer $1
named() { local s; s=$nl$(subject "$1") && [[ ! $s =~ $nl\ *$2\ .*$nl\ *$2\  ]] && s=$(first "$nl *$2 *= ([^$nl]+)" "$s") &&
    echo "${s//\"/\\\"}"; } # as JSON has it: \ is doubled by openssl
hex() { od -An -vtx1 "$@" | tr -d ' \n'; }; unhex() { local i; for ((i = 0; i < ${#1}; i += 2)); do printf "\\x${1:i:2}"; done; }
le() { echo $((16#0${1:6:2}${1:4:2}${1:2:2}${1:0:2})); } # a number that begins with its smallest byte
container() { # plain, unique names; nothing compressed, locked, linked or hidden: one meaning for every reader
    local f size part='[A-Za-z0-9_][A-Za-z0-9._-]*'
    if [ -d "$package" ]; then cd "$package" && for f in **; do
        if [ ! -d "$f" ] || [ -L "$f" ]; then names+=("$f"); else [[ $f != */*/*/* ]] || return 1; fi; done
    else mkdir "$t/p" && cd "$t/p" && ln -s "$package" "$t/zip" && mapfile -t names < <(unzip -Z1 "$t/zip"); fi &&
        [ ${#names[@]} -le 256 ] && for f in "${names[@]}"; do
        [[ $f =~ ^$part(/$part){0,2}$ && ! ${is[$f]-} ]] && is[$f]=1 || return 1; done &&
        { [ -d "$package" ] || zipped; } && for f in "${names[@]}"; do [ -f "$f" ] && [ ! -L "$f" ] || return 1
        [ -r "$f" ] || cannot "$f is not readable"; done && read -r size _ < <(wc -c "${names[@]}" | tail -n 1) &&
        [ "$size" -le 268435456 ] && [ "$(hex mimetype)" = "$(printf application/vnd.etsi.asic-e+zip | hex)" ]; }
zipped() { # stored entries, mimetype first, each where the one before ends; then the directory and its end (APPNOTE 4.3)
    local f h p=0 size of=() at=(); size=$(wc -c < "$package"); [ "$size" -le 268435456 ] && [ "${names[0]-}" = mimetype ] &&
        for f in "${names[@]}"; do h=$(hex -j $p -N $((30 + ${#f})) "$t/zip")
        [[ $h =~ ^504b0304....00(00|08)0000.{16}(.{8})(.{8})(....)(....)(.*)$ && ${BASH_REMATCH[6]} = "$(printf %s "$f" |
        hex)" && ${BASH_REMATCH[2]} = "${BASH_REMATCH[3]}" && $(le "${BASH_REMATCH[4]}") = "${#f}" ]] || return 1
        of+=("${h:8:48}") at+=($p) p=$((p + 30 + ${#f} + $(le "${BASH_REMATCH[5]}") + $(le "${BASH_REMATCH[2]}"))); done &&
        [[ $(tail -c 22 "$package" | hex) =~ ^504b050600000000(....)(....)(.{8})(.{8})0000$ ]] &&
        [ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] && [ "$(le "${BASH_REMATCH[1]}")" = ${#names[@]} ] &&
        [ "$(le "${BASH_REMATCH[4]}")" = $p ] && [ $((p + $(le "${BASH_REMATCH[3]}") + 22)) = "$size" ] &&
        [[ $(unzip -Zv "$t/zip") != *'ID 0x7075'* ]] || return 1 # no second name (Unicode Path)
    for f in "${!names[@]}"; do h=$(hex -j $p -N $((46 + ${#names[f]})) "$t/zip") # the directory says the same of each
        [[ $h =~ ^504b0102....${of[f]}(....)00000000.{12}(.{8})(.*)$ && $(le "${BASH_REMATCH[2]}") = "${at[f]}" &&
            ${BASH_REMATCH[3]} = "$(printf %s "${names[f]}" | hex)" ]] || return 1
        p=$((p + 46 + ${#names[f]} + $(le "${BASH_REMATCH[1]}"))); done; [ $((p + 22)) = "$size" ] || return 1
    unzip -qq -P '' "$t/zip" < /dev/null > /dev/null; case $? in 50) cannot "no room in $t" ;; *) return $? ;; esac; }
der() { # goes over, or with $2 into, the DER value of tag $1 at digit $p of $h; $v is its bytes
    local k=0 n=$((16#0${h:p + 2:2})); from=$((p + 4)); [ "${h:p:2}" = "$1" ] || return 1
    if [ $n -ge 128 ]; then k=$((n - 128)); [[ $k = [1-3] ]] && n=$((16#0${h:from:2 * k})) from=$((from + 2 * k)) &&
        [ $n -ge $((k > 1 ? 1 << 8 * k - 8 : 128)) ] || return 1; fi; to=$((from + 2 * n)); [ $to -le ${#h} ] || return 1
    v=${h:p:to - p}; [ "${2-}" ] && p=$from || p=$to; }
form() { # CMS (RFC 5652): one signer, and nothing he did not sign but certificates and names; gives $attrs $alg $value $at.
    # Where $2 is "token" it is an authority's (RFC 3161), and may carry more
    local p=0 from to v h d= i end last= all= one digests data=06092a864886f70d010701 n='(0500)?'
    local ec=06082a8648ce3d04030 rsa=06092a864886f70d01010 known; h=$(hex "$1")
    known="06096086480165030402(01${n}30..(${ec}2|$rsa[1b]$n)|02${n}30..(${ec}3|$rsa[1c]$n)|03${n}30..$rsa[1d]$n)|"
    known+="06082a811ccf55018311${n}30..06082a811ccf55018375" # SHA-2 or SM3, then ECDSA, RSA or SM2 with the same
    [ "$2" != token ] || data=060b2a864886f70d0109100104
    [ ${#h} -le 524288 ] && der 30 in && [ $to = ${#h} ] && der 06 && [ "$v" = 06092a864886f70d010702 ] && der a0 in && der 30 in &&
        der 02 && one=$v && der 31 && digests=$v && der 30 && [[ $v =~ ^30(..|8[123]..(..){0,2})$data(.*)$ &&
        ($# = 2 || ! ${BASH_REMATCH[3]}) ]] && der a0 in || return 1
    end=$to; while [ $p -lt "$end" ]; do der 30 && [[ " $all" != *" $v "* && ($2 = token || $v > $last) ]] || return 1
        last=$v all+="$v "; done # each certificate once, in DER's order
    [ $p = "$end" ] && { [ "$2" != token ] || der a1 || true; } && der 31 in && [ $to = ${#h} ] && der 30 in && [ $to = ${#h} ] &&
        der 02 && [[ $one = "$([ "$2" = token ] && echo 020103 || echo "$v")" && $v${h:p:2} =~ ^(02010130|02010380)$ ]] &&
        der "${h:p:2}" && der 30 && alg=$v && [[ $digests = 31??"$alg" ]] && der a0 && attrs=$v && der 30 && alg+=$v && der 04 &&
        value=${h:from:to - from} && { [ "$2" != token ] || der a1 || true; } && [ $p = ${#h} ] && [[ $alg =~ ^30..($known)$ ]] || return 1
    [ "$2" != token ] || return 0
    [[ $attrs =~ 06092a864886f70d010905310f170d((3[0-9]){12})5a ]] || return 1 # signingTime
    for ((i = 1; i < 24; i += 2)); do d+=${BASH_REMATCH[1]:i:1}; done
    at=$(date -ud "20${d:0:2}-${d:2:2}-${d:4:2} ${d:6:2}:${d:8:2}:${d:10:2}" +%s); }
is_sm2() { [[ $alg = *2a811ccf55018375 ]]; }
for_documents() { # signer $1's certificate (RFC 9336), which has one name; those between may be for anything
    local c eku oid=' 1\.3\.6\.1\.5\.5\.7\.3\.36,'; for c in "$t"/ca-* "$t/$1.pem"; do eku=$(openssl x509 -in "$c" -noout \
        -ext extendedKeyUsage); [[ $eku, =~ $oid || ($c != *.pem && (! $eku || $eku == *'Any Extended Key Usage'*)) ]] || return 1; done &&
        [[ $(openssl x509 -in "$t/$1.pem" -noout -subject -nameopt sep_multiline,esc_2253) != *' + '* ]]; } # one part, one attribute
needed() { # each certificate inside leads on from signer $1's to the root, or is a root
    local c who=$t/$1.pem id=; ! is_sm2 || id=distid:1234567812345678
    for c in "$t"/ca-*; do [ "$(< "$c")" != "$(< "$who")" ] || rm "$c"; done
    for _ in "$t"/ca-*; do for c in "$t"/ca-*; do openssl verify -partial_chain ${id:+-vfyopt $id} -attime "$at" -CAfile "$c" "$who" \
        > "$t/ok" && cp "$c" "$t/issuer" && rm "$c" && who=$t/issuer; done; done
    for c in "$t"/ca-*; do [[ $(< "$root") = *"$(< "$c")"* ]] || return 1; done; }
split() { rm -f "$t"/ca-* && csplit -szf "$t/ca-" "$t/certs" /BEGIN/ '{*}'; }
sm2() { # the same step by step, as `cms -verify` knows no signer id: content, certificate, signature, way to the root
    local hash digest id=distid:1234567812345678 ca; [[ $(openssl list -public-key-algorithms) == *SM2* ]] || cannot "openssl knows no SM2"
    openssl cms -verify -noverify -no_attr_verify -binary -inform DER -in "$1" ${3:+-content "$3"} -out "$t/$2" -signer "$t/$2.pem" \
        -certsout "$t/certs" && digest=$(openssl dgst -sm3 -r "${3:-$t/$2}" | cut -c -64) &&
        hash=$(openssl x509 -in "$t/$2.pem" -outform DER | openssl dgst -sm3 -r | cut -c -64) &&
        [[ $attrs == *06092a864886f70d01090431220420$digest* && $attrs == *0420$hash* ]] && unhex "$value" > "$t/value" &&
        unhex "31${attrs:2}" > "$t/signed" && openssl x509 -in "$t/$2.pem" -noout -pubkey > "$t/pub" && # as a SET (RFC 5652, 5.4)
        openssl dgst -sm3 -sigopt $id -verify "$t/pub" -signature "$t/value" "$t/signed" > "$t/ok" &&
        cp "$root" "$t/way" && split || return 1
    for ca in "$t"/ca-* "$t"/ca-* "$t/$2.pem"; do openssl verify -partial_chain -vfyopt $id -attime "$at" -CAfile "$t/way" "$ca" \
        > "$t/ok" && cat "$ca" >> "$t/way"; done; }
digests() { # all that manifest $1 lists, $2 among it, is there with its SHA-256; gives the list, and what signs it
    local x f type='[A-Za-z0-9.+_-]{1,127}' uri d=http://www.w3.org/ e; unset list by; declare -gA list
    uri="URI=\"([A-Za-z0-9._/-]+)\" MimeType=\"($type/$type)\""
    text "$1" && [ "$(wc -c < "$1")" -le 262144 ] && x=$(< "$1") && # a newline parts no word
        [[ $x = '<?xml'* && ! $x =~ [^\ \>$nl]$nl+[^\ \<$nl] ]] || return 1
    e="<asic:DataObjectReference $uri><ds:DigestMethod Algorithm=\"${d}2001/04/xmlenc#sha256\"/>" # as this program writes
    e+='<ds:DigestValue>([A-Za-z0-9+/=]+)</ds:DigestValue></asic:DataObjectReference>(.*)$'
    x=$(tr -d '\n' < "$1" | tr -s ' ') && x=${x//> </><} && [[ $x =~ ^'<?xml version="1.0" encoding="UTF-8"?>'\
'<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'\
'<asic:SigReference '$uri'/>'(.*)'</asic:ASiCManifest>'$ ]] && by=${BASH_REMATCH[1]} x=${BASH_REMATCH[3]} &&
        [[ $by\ ${BASH_REMATCH[2]} =~ ^$M/(signature...\.p7s\ application/pkcs7-signature|timestamp...\.tst\ \
application/vnd\.etsi\.timestamp-token)$ && $by =~ [0-9]{3}\....$ && $by != *000.* ]] || return 1
    while [[ $x =~ ^$e ]]; do f=${BASH_REMATCH[1]} x=${BASH_REMATCH[4]}; [ ! "${list[$f]-}" ] && if [ "${is[$f]-}" ]
        then [ "$(openssl dgst -sha256 -binary "$f" | base64)" = "${BASH_REMATCH[3]}" ]
        else [[ $pruned && $f != @(evidence.json|$M/*) ]] && gone=1; fi || { echo "        $f"; return 1; }
        list[$f]="${BASH_REMATCH[2]} ${BASH_REMATCH[3]}"; done; [ ! "$x" ] && [ "${list[$2]-}" ]; }
statement() { # UTF-8; states what it must, the listed files as they are or were, and the grade that its conditions, 15 of every case, give
    local f v x=$said n=15 follows=lead pass='"pass": true' must=({journal.{n,prev},device.tz,camera.id,software.{name,version}})
    [[ $(tr -d '\n' < evidence.json | wc -c) = ${#said} && ${#said} -le 1048576 && $said == '{'* && $said =~ \"seq\"$w:$w[0-9] &&
        $said =~ \"warning\"$w:$w\[ ]] && (LC_ALL=C.UTF-8; [[ $said =~ ^.*$ ]]) && case $(field v "$said")$(field type "$said") in
    1lingmou.evidence) must+=(violation.{kind,rule,outcome,first_seen,confirmed}); [ ! "$(stated asked by)" ] ;;
    1lingmou.capture) must+=(asked.{by,at,command,command_sha256}); [[ $said =~ \"violation\"$w:${w}null &&
        $said =~ \"warning\"$w:$w\[$w\] && ! $said =~ \"grade\"$w:$w\"evidence ]] ;; *) false ;; esac || return 1
    for f in "${must[@]}" clock.{utc,boottime_ns,synced}; do [ "$(stated ${f/./ })" ] || return 1; done
    while [[ $x =~ \"(utc|first_seen|confirmed|at|server_time|last_step|prev|[a-z_]*sha256)\"$w:$w(\"[^\"]*\"|.)(.*)$ ]]; do
        f=${BASH_REMATCH[1]} v=${BASH_REMATCH[2]} x=${BASH_REMATCH[3]}; case $f$v in @(at|last_step|*_sha256)n) ;;
        prev*|*sha256*) [[ $v =~ ^\"[0-9a-f]{64}\"$ ]] ;; *) utc "${v//\"}" ;; esac || return 1; done
    [ "$(for f in "${!list[@]}"; do [ "$f" = evidence.json ] || echo "$f ${list[$f]} ${gone:-$(wc -c < "$f")}"; done | sort)" = "$(
        n='^ *"name": *"([^"]*)", *"type": *"([^"]*)", *"size": *([0-9]+), *"sha256": *"([^"]*)"'; while IFS= read -rd '{' f; do
        [[ $f =~ $n ]] && echo "${BASH_REMATCH[*]:1:2} $(unhex "${BASH_REMATCH[4]}" | base64) ${gone:-${BASH_REMATCH[3]}}"
        done <<< "$said{" | sort)" ] || return 1; [[ $said =~ \"grade\":\ *[^\ n] ]] || return 0 # none is stated
    f=${said//$pass}; [[ $said != *'"same_subject"'* ]] || n=16 # who persisted has one condition more
    [[ $(((${#said} - ${#f}) / ${#pass})) -lt $n || $said =~ \"pass\":\ [fn] ]] || follows=evidence
    [ "$(stated grade grade)" = $follows ]; }
names() { # the JSON $1, a $2, names this package, its signature, and the signer of $2, who has role $3; gives $it
    plain "$1" && [ "$(field type "$it") $(named "$2" organizationalUnitName)" = "lingmou.$2 $3" ] && [ "$(field id "$it") $(
        field sig_sha256 "$it") $(field "$3" "$it")" = "$(field id "$said") $sig $(named "$2" commonName)" ]; }
received() { [[ $(field verdict "$1") =~ ^(stored|refused)$ && $1 =~ \"seq\"$w:$w[0-9] && $1 =~ \"copies\"$w:$w[0-9] &&
    $1 =~ \"at\"$w:$w\" ]]; } # a receipt says what it must
reviewed() { [[ $(field verdict "$1") =~ ^(accept|reject)$ && $1 =~ \"reason\"$w:$w\" ]] && utc "$(field at "$1")"; } # a review too
stamped() { # time-stamp $1 is over a SHA-256; gives $at
    local said; said=$(openssl ts -reply -in "$1" -token_in -text) && [[ $said = *"${nl}Hash Algorithm: sha256$nl"* ]] &&
        at=$(first "${nl}Time stamp: ([^$nl]*)" "$said"); }
value() { # $1 is one JSON value, not deeper than 120: strings are put aside, then lists and objects made words, inner first
    local i x=$1 y= b other='[!{}\[\]]' v='("|-?(0|[1-9][0-9]{0,99})(\.[0-9]+)?(e[-+]?[0-9]{1,2})?|true|false|null|@)'
    while [[ $x =~ ^([^\"]*)$S(.*)$ ]]; do y+=${BASH_REMATCH[1]}\" x=${BASH_REMATCH[4]}; done; [[ $x != *\"* ]] && y+=$x &&
        b=${y//$other}; for ((i = 0; i < 60; i++)); do b=${b//\{\}} b=${b//\[\]}; done; [ ! "$b" ] || return 1
    while [[ $y =~ \{(\":$v(,\":$v)*)?\}|\[($v(,$v)*)?\] ]]; do y=${y//"${BASH_REMATCH[0]}"/@}; done; [ "$y" = @ ]; }
chain() { # the device's journal from this package's line to the head that the first receipt names
    local line body sealed= first n prev c=$M/chain.jsonl a="($S|-?[0-9]+|true|false|null)"; n=$(stated journal n)
    prev=$(stated journal prev) first=$n; [ "$(wc -c < $c)" -le 8388608 ] && [ ! "$(tail -c 1 $c)" ] && text $c &&
        while IFS= read -r line; do
        [[ $line =~ ^\{\"n\":$n,\"at\":$S,\"kind\":\"([a-z._]+)\",\"prev\":\"$prev\",\"body\":(\{($S|[][{}:,0-9a-z.+-])*\})\}$ ]] ||
            return 1
        body=${BASH_REMATCH[4]}; [[ ${BASH_REMATCH[3]} =~ ^package.(adopted|sealed)$ && (${BASH_REMATCH[1]} = adopted || $n = "$first") &&
            $body =~ ^\{($S:($a|\[($a(,$a)*)?\]),)*\"sig_sha256\":\"$sig\"[,}] && $body != *sig_sha256*sig_sha256* ]] && sealed=1
        [ ${#line} -le 65536 ] && value "$body" || return 1; n=$((n + 1)) prev=$(printf %s "$line" | sha256sum | cut -c -64); done < $c
    [[ $sealed && (! $head || $head == *"\"hash\":\"$prev\""*) ]]; }
inside() { for f in "${names[@]}"; do [ "${covered[$f]-}" ] || { [[ $f != *000.* && $f =~ ^$M/(receipt[0-9]{3}|checkpoint)\.p7m$ ]] &&
    echo "        nobody vouches for $f"; } || return 1; done; } # may come later, and was not looked at
