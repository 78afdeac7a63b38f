package injection

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/services/detect/fold"
)

// Bounds of what is decoded.
const (
	maxDepth   = 3         // layers in one another
	minBase64  = 16        // characters of a run
	minHex     = 16        // digits of a run
	extraBytes = 64 * 1024 // decoded beyond twice the content's length: never
	goodShare  = 0.9       // of the characters, readable
)

// layer is a text to scan: the content, or something decoded of it.
type layer struct {
	text       string
	via        []string   // how it was decoded, outermost first
	back       []fold.Map // to the content, first map first
	mirrored   bool       // text is the wrong way round
	fixed      bool       // all of it came from one place: start to end of the content
	start, end int
}

// span is where the bytes i to j of the layer's text are in the content.
func (l *layer) span(i, j int) (int, int) {
	if l.fixed {
		return l.start, l.end
	}
	if l.mirrored {
		i, j = len(l.text)-j, len(l.text)-i
	}
	for _, m := range l.back {
		i, j = m.Span(i, j)
	}
	return i, j
}

// plain undoes the escapes of the layer, those of escapes too.
func (l layer) plain() layer {
	for range maxDepth {
		text, back, found := fold.Unescape(l.text)
		if !found || l.mirrored {
			break
		}
		l.text = text
		l.back = append([]fold.Map{back}, l.back...)
	}
	return l
}

// child is a layer decoded of the bytes i to j.
func (l *layer) child(text, via string, i, j int) layer {
	start, end := l.span(i, j)
	return layer{text: text, via: l.through(via), fixed: true, start: start, end: end}
}

func (l *layer) through(via string) []string {
	return append(append([]string(nil), l.via...), via)
}

// payloads are the layers that are encoded in the text: base64 and hex.
func (l *layer) payloads() []layer {
	var out []layer
	s := l.text
	for i := 0; i < len(s); {
		if !base64Byte(s[i]) {
			i++
			continue
		}
		j := i + 1
		for j < len(s) && base64Byte(s[j]) {
			j++
		}
		end := j
		for end < len(s) && s[end] == '=' && end-j < 2 {
			end++
		}
		if text, via := decodeRun(s[i:j]); text != "" {
			out = append(out, l.child(text, via, i, end))
		}
		i = end
	}
	return append(out, l.pairs()...)
}

// base64Bytes and hexBytes are the bytes of both encodings; those of addresses are in the first too.
var base64Bytes, hexBytes = setOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"), setOf("0123456789ABCDEFabcdef")

func setOf(chars string) (set [256]bool) {
	for i := range len(chars) {
		set[chars[i]] = true
	}
	return set
}

func base64Byte(b byte) bool { return base64Bytes[b] }
func hexByte(b byte) bool    { return hexBytes[b] }

// decodeRun decodes a run of characters if a readable text comes out.
func decodeRun(run string) (text, via string) {
	if digits := strings.TrimPrefix(run, "0x"); len(digits) >= minHex && len(digits)%2 == 0 && strings.TrimFunc(digits, func(r rune) bool { return hexByte(byte(r)) }) == "" {
		if b, err := hex.DecodeString(digits); err == nil {
			if text = printable(b); text != "" {
				return text, "hex"
			}
		}
	}
	if len(run) < minBase64 || oneCase(run) {
		return "", ""
	}
	enc := base64.RawStdEncoding
	if strings.ContainsAny(run, "-_") {
		enc = base64.RawURLEncoding
	}
	if len(run)%4 == 1 {
		run = run[:len(run)-1]
	}
	b, err := enc.DecodeString(run)
	if err != nil {
		return "", ""
	}
	return printable(b), "base64"
}

// oneCase says whether there are only small letters, as in words: nothing is encoded.
func oneCase(run string) bool {
	for i := range len(run) {
		if b := run[i]; b < 'a' || b > 'z' {
			return false
		}
	}
	return true
}

// pairs are texts spelled by pairs of hex digits or groups of bits with a mark between: 69 67 6e.
func (l *layer) pairs() []layer {
	var out []layer
	var b []byte
	s := l.text
	for i := 0; i+2 < len(s); {
		if !hexByte(s[i]) || !hexByte(s[i+1]) {
			i++
			continue
		}
		width, base := 2, 16
		if group(s[i:], 8, 2) {
			width, base = 8, 2
		} else if !group(s[i:], 2, 16) {
			i++
			continue
		}
		b = b[:0]
		j := i
		for {
			b = append(b, number(s[j:j+width], base))
			j += width
			if j+1+width > len(s) || !strings.ContainsRune(" :,-", rune(s[j])) || !group(s[j+1:], width, base) {
				break
			}
			j++
		}
		if len(b) >= minHex/2 && (i == 0 || !base64Byte(s[i-1])) {
			if text := printable(b); text != "" {
				out = append(out, l.child(text, map[int]string{2: "binary", 16: "hex"}[base], i, j))
			}
		}
		i = j
	}
	return out
}

// group says whether s begins with so many digits and no more.
func group(s string, width, base int) bool {
	if len(s) < width || len(s) > width && base64Byte(s[width]) && s[width] != '-' {
		return false
	}
	for k := range width {
		if base == 2 && s[k] != '0' && s[k] != '1' || !hexByte(s[k]) {
			return false
		}
	}
	return true
}

func number(s string, base int) byte {
	n := 0
	for i := range len(s) {
		d := int(s[i] | 0x20)
		if d >= 'a' {
			d -= 'a' - 10
		} else {
			d = int(s[i] - '0')
		}
		n = n*base + d
	}
	return byte(n)
}

// printable is b as text if it reads like one, else nothing.
func printable(b []byte) string {
	if len(b) < minTags || !utf8.Valid(b) {
		return ""
	}
	good, all := 0, 0
	for _, r := range string(b) {
		all++
		if r >= ' ' && r < 0x7f || r == '\n' || r == '\t' || r == '\r' || r >= 0xa0 {
			good++
		}
	}
	if float64(good) < goodShare*float64(all) {
		return ""
	}
	return string(b)
}

// rot13 turns letters by half the alphabet; every byte stays where it is.
func rot13(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'm':
			b[i] = c + 13
		case c|0x20 >= 'n' && c|0x20 <= 'z':
			b[i] = c - 13
		}
	}
	return string(b)
}

// reversed is s from its end.
func reversed(s string) string {
	out := make([]byte, len(s))
	for i, at := 0, len(s); i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		at -= size
		copy(out[at:], s[i:i+size])
		i += size
	}
	return string(out)
}

// markers are words that a text in rot13, or written backwards, has and hardly any other.
var markers = []string{
	"ignore", "disregard", "forget", "previous", "instructions", "instruction", "system", "prompt", "reveal", "above", "rules", "unrestricted",
	"override", "developer", "password", "conversation", "ignoriere", "anweisungen", "ignorez", "precedentes", "instrucciones", "anteriores",
	"istruzioni", "instrucoes", "instructies", "negeer", "your", "the", "all", "you", "this", "every", "hidden", "message",
}

// markTurned gives the grammar the markers of both kinds.
func markTurned(g *grammar) (turned, backwards concept) {
	turned, backwards = g.named("@rot13"), g.named("@reversed")
	for _, w := range markers {
		g.words[rot13(w)] = append(g.words[rot13(w)], turned)
		g.words[reversed(w)] = append(g.words[reversed(w)], backwards)
	}
	return turned, backwards
}
