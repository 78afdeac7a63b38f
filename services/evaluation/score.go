package evaluation

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Answer is what a system says about one row: labels, best first, and the probability that the first is right.
type Answer struct {
	Labels     []string
	Confidence float64
}

// Bin is a part of the confidences from Low to Low+0.1, open below, with what was right in it.
type Bin struct {
	Low        float64 `json:"low"`
	N          int     `json:"n"`
	Confidence float64 `json:"confidence"` // mean
	Accuracy   float64 `json:"accuracy"`
}

// Point says how much of a share of the rows, the most confident ones, is right.
type Point struct {
	Coverage float64 `json:"coverage"`
	Accuracy float64 `json:"accuracy"`
}

// Confusion is how often a label was answered where another was right.
type Confusion struct {
	Right    string `json:"right"`
	Answered string `json:"answered"`
	N        int    `json:"n"`
}

// Figures are what the answers to some rows are worth; all but the counts are shares from 0 to 1.
type Figures struct {
	Set        string             `json:"set"`
	N          int                `json:"n"`
	Top1       float64            `json:"top1"`
	Top3       float64            `json:"top3"`
	MacroF1    map[string]float64 `json:"macro_f1"` // by category, the part of a label before its first dot
	ECE        float64            `json:"ece"`      // expected calibration error, ten bins (Guo et al. 2017)
	Bins       []Bin              `json:"bins"`
	Coverage   []Point            `json:"coverage"`
	Confusions []Confusion        `json:"confusions"` // of labels, most frequent first, at most 20
	Matrix     []Confusion        `json:"matrix"`     // of categories, all
	Lookups    map[string]float64 `json:"lookups"`    // top1 of exact, words, trigrams
	McNemar    float64            `json:"mcnemar"`    // that the model and the best lookup differ by chance alone
}

// Score compares answers with rows, one for each; lookups are other systems' first labels, by name.
func Score(set string, rows []Row, answers []Answer, lookups map[string][]string) Figures {
	f := Figures{Set: set, N: len(rows), Lookups: map[string]float64{}}
	hits := make([]bool, len(rows))
	for i, row := range rows {
		hits[i] = right(row, answers[i].Labels, 1)
	}
	f.Top1 = share(hits)
	f.Top3 = share(each(rows, func(i int) bool { return right(rows[i], answers[i].Labels, 3) }))
	f.MacroF1 = macroF1(rows, answers)
	f.Bins, f.ECE = calibration(answers, hits)
	f.Coverage = coverage(answers, hits)
	f.Confusions = confusions(rows, answers, func(label string) string { return label })
	f.Confusions = f.Confusions[:min(20, len(f.Confusions))]
	f.Matrix = confusions(rows, answers, category)
	f.McNemar = 1
	best := -1.0
	for _, name := range slices.Sorted(mapKeys(lookups)) {
		theirs := each(rows, func(i int) bool { return slices.Contains(rows[i].Accept, lookups[name][i]) })
		f.Lookups[name] = share(theirs)
		if f.Lookups[name] > best {
			best, f.McNemar = f.Lookups[name], mcnemar(hits, theirs)
		}
	}
	return f
}

func each(rows []Row, is func(i int) bool) []bool {
	out := make([]bool, len(rows))
	for i := range rows {
		out[i] = is(i)
	}
	return out
}

func mapKeys(m map[string][]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func share(hits []bool) float64 {
	n := 0
	for _, h := range hits {
		if h {
			n++
		}
	}
	return float64(n) / float64(max(1, len(hits)))
}

func right(row Row, labels []string, among int) bool {
	return slices.ContainsFunc(labels[:min(among, len(labels))], func(l string) bool { return slices.Contains(row.Accept, l) })
}

func first(a Answer) string {
	if len(a.Labels) == 0 {
		return ""
	}
	return a.Labels[0]
}

func category(label string) string {
	before, _, _ := strings.Cut(label, ".")
	return before
}

// truth is the label that counts as the right one: the answer if it is accepted, else the first accepted.
func truth(row Row, a Answer) string {
	if slices.Contains(row.Accept, first(a)) {
		return first(a)
	}
	return row.Accept[0]
}

// macroF1 is the mean F1 of the labels of a category that occur as right ones.
func macroF1(rows []Row, answers []Answer) map[string]float64 {
	type counts struct{ hit, said, is float64 }
	by := map[string]*counts{}
	of := func(label string) *counts {
		if by[label] == nil {
			by[label] = &counts{}
		}
		return by[label]
	}
	for i, row := range rows {
		want, got := truth(row, answers[i]), first(answers[i])
		of(want).is++
		of(got).said++
		if want == got {
			of(want).hit++
		}
	}
	sum, n := map[string]float64{}, map[string]float64{}
	for label, c := range by {
		if c.is > 0 {
			sum[category(label)] += 2 * c.hit / (c.said + c.is)
			n[category(label)]++
		}
	}
	for c := range sum {
		sum[c] /= n[c]
	}
	return sum
}

func calibration(answers []Answer, hits []bool) ([]Bin, float64) {
	bins := make([]Bin, 10)
	for i := range bins {
		bins[i].Low = float64(i) / 10
	}
	for i, a := range answers {
		b := &bins[min(9, max(0, int(math.Ceil(a.Confidence*10))-1))]
		b.N++
		b.Confidence += a.Confidence
		if hits[i] {
			b.Accuracy++
		}
	}
	ece := 0.0
	for i := range bins {
		if b := &bins[i]; b.N > 0 {
			ece += math.Abs(b.Confidence-b.Accuracy) / float64(len(answers))
			b.Confidence /= float64(b.N)
			b.Accuracy /= float64(b.N)
		}
	}
	return bins, ece
}

// coverage gives a point for every tenth of the rows.
func coverage(answers []Answer, hits []bool) []Point {
	order := make([]int, len(answers))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(answers[b].Confidence, answers[a].Confidence) })
	var out []Point
	for tenth := 1; tenth <= 10; tenth++ {
		n := max(1, len(order)*tenth/10)
		if n > len(order) {
			break
		}
		kept := make([]bool, n)
		for i, row := range order[:n] {
			kept[i] = hits[row]
		}
		out = append(out, Point{Coverage: float64(tenth) / 10, Accuracy: share(kept)})
	}
	return out
}

// confusions counts pairs of what was right and what was answered, by as much of a label as of keeps.
func confusions(rows []Row, answers []Answer, of func(string) string) []Confusion {
	count := map[[2]string]int{}
	for i, row := range rows {
		count[[2]string{of(truth(row, answers[i])), of(first(answers[i]))}]++
	}
	var out []Confusion
	for pair, n := range count {
		if pair[0] != pair[1] || of("A.B") == "A" { // categories have a diagonal, labels only their errors
			out = append(out, Confusion{pair[0], pair[1], n})
		}
	}
	slices.SortFunc(out, func(a, b Confusion) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Right, b.Right), cmp.Compare(a.Answered, b.Answered))
	})
	return out
}

// mcnemar is the exact two-sided probability of so unequal a split of the rows where only one is right
// (McNemar 1947).
func mcnemar(a, b []bool) float64 {
	onlyA, onlyB := 0, 0
	for i := range a {
		if a[i] && !b[i] {
			onlyA++
		}
		if b[i] && !a[i] {
			onlyB++
		}
	}
	n, k := onlyA+onlyB, min(onlyA, onlyB)
	p, term := 0.0, math.Pow(0.5, float64(n)) // of none; each next one from the last
	for i := range k + 1 {
		p += term
		term *= float64(n-i) / float64(i+1)
	}
	return min(1, 2*p)
}
