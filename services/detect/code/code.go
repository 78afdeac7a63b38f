// Package code finds code in text, and pieces that are dangerous where text becomes code: shapes of SQL injection,
// chains of shell commands, script in pages, and evaluation of input. It does not parse: it knows shapes.
package code

import (
	"context"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/spans"
)

// What it can say.
const (
	isCode    = "CODE"
	injection = "CODE_INJECTION"
	command   = "COMMAND_INJECTION"
	sql       = "SQL_INJECTION"
	xss       = "XSS"
)

// Detector finds code. Make one with New.
type Detector struct {
	byFirst [256][]rule          // by the first byte of the key
	pairs   [1 << 16 / 64]uint64 // a bit for each two bytes that a key begins with
	rules   int
}

var _ detect.Detector = (*Detector)(nil)

// New makes a detector. It is meant to be made once.
func New() *Detector {
	d := &Detector{}
	for _, r := range rules() {
		for key := range strings.SplitSeq(r.keys, "¦") {
			r.key, r.number = key, d.rules
			d.rules++
			d.byFirst[key[0]] = append(d.byFirst[key[0]], r)
			for second := range 256 {
				if len(key) == 1 || key[1] == byte(second) {
					pair := int(key[0])<<8 | second
					d.pairs[pair/64] |= 1 << (pair % 64)
				}
			}
		}
	}
	return d
}

// begins says whether a key may begin at a byte, by it and the next.
func (d *Detector) begins(text string, at int) bool {
	pair := int(text[at]) << 8
	if at+1 < len(text) {
		pair |= int(text[at+1])
	}
	return d.pairs[pair/64]&(1<<(pair%64)) != 0
}

// Name is the detector's name.
func (d *Detector) Name() string { return "code" }

// Version is that of the rules.
func (d *Detector) Version() string { return "2026.11.1" }

// Labels are all that it can say.
func (d *Detector) Labels() []string { return []string{isCode, injection, command, sql, xss} }

// window is how far a pattern sees from its key.
const window = 320

// Detect finds code in content, and dangerous pieces. The latter may be inside of the former; both are hits then.
func (d *Detector) Detect(ctx context.Context, content string) ([]detect.Hit, error) {
	lower := lowered(content)
	var hits []detect.Hit
	tries, most := make([]int, d.rules), 1000+len(lower)/64
	for i := 0; i < len(lower); i++ {
		if i%65536 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !d.begins(lower, i) {
			continue
		}
		inside := i > 0 && wordByte(lower[i-1])
		for k := range d.byFirst[lower[i]] {
			r := &d.byFirst[lower[i]][k]
			if r.word && inside || !strings.HasPrefix(lower[i:], r.key) {
				continue
			}
			if next := i + len(r.key); next < len(lower) && lower[next] == lower[next-1] && !wordByte(lower[next]) && len(r.key) > 1 && lower[next] == r.key[0] {
				continue // the last of a run will do
			}
			if tries[r.number]++; tries[r.number] >= most {
				if tries[r.number] == most {
					hits = append(hits, detect.Hit{Label: r.label, Score: 0.5, Start: i, End: i + len(r.key), Rule: r.name + ": signs of it in such number that the rest was not looked at"})
				}
				continue
			}
			if r.context != nil && !r.context(lower, i) {
				continue
			}
			m := r.pattern.FindStringIndex(lower[i:min(len(lower), i+window)])
			if m == nil || m[1] == 0 {
				continue
			}
			end := i + m[1]
			for end < len(content) && content[end]&0xc0 == 0x80 { // never inside a character
				end++
			}
			hits = append(hits, detect.Hit{Label: r.label, Score: r.score, Start: i, End: end, Rule: r.name})
			break
		}
	}
	hits = append(blocks(content), spans.Resolve(hits)...)
	slices.SortStableFunc(hits, func(a, b detect.Hit) int { return a.Start - b.Start })
	detect.Runes(content, hits)
	return hits, ctx.Err()
}

// lowered is content with ASCII in small letters: as long as it was.
func lowered(content string) string {
	b := []byte(content)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
}
