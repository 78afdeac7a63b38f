package evaluation

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Text writes the report for a terminal.
func (r *Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n\nset\tn\ttop-1\ttop-3\tECE\tright of the surest 70 %%\texact\twords\ttrigrams\tMcNemar p\n", r.Model)
	for _, f := range append(r.Sets[:len(r.Sets):len(r.Sets)], r.Overall) {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%.3f\t%s\t%s\t%s\t%s\t%.2g\n", f.Set, f.N, percent(f.Top1), percent(f.Top3), f.ECE,
			percent(f.At(0.7)), percent(f.Lookups["exact"]), percent(f.Lookups["words"]), percent(f.Lookups["trigrams"]), f.McNemar)
	}
	fmt.Fprint(t, "\ncategory\tmacro-F1\n")
	for _, c := range slices.Sorted(maps.Keys(r.Overall.MacroF1)) {
		fmt.Fprintf(t, "%s\t%.3f\n", c, r.Overall.MacroF1[c])
	}
	for _, a := range r.Agreements {
		fmt.Fprintf(t, "\n%s: the same label for %s of the rows; top-1 %s, was %s\n", a.Name, percent(a.Same), percent(a.Top1), percent(a.Top1Was))
	}
	fmt.Fprintf(t, "\na lone request: p50 %.2f ms, p95 %.2f ms of %d\n", r.Latency.P50, r.Latency.P95, r.Latency.N)
	return t.Flush()
}

// At is the share that is right of the given share of the surest answers, in tenths.
func (f Figures) At(coverage float64) float64 {
	for _, p := range f.Coverage {
		if p.Coverage >= coverage-1e-9 {
			return p.Accuracy
		}
	}
	return 0
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent": percent,
	"px":      func(x float64) string { return fmt.Sprintf("%.1f", 200*x) },
	"up":      func(x float64) string { return fmt.Sprintf("%.1f", 200-200*x) },
	"points": func(all []Point) string {
		var out []string
		for _, p := range all {
			out = append(out, fmt.Sprintf("%.1f,%.1f", 200*p.Coverage, 200-200*p.Accuracy))
		}
		return strings.Join(out, " ")
	},
	"categories": func(f Figures) []string {
		names := map[string]bool{}
		for _, c := range f.Matrix {
			names[c.Right], names[c.Answered] = true, true
		}
		return slices.Sorted(maps.Keys(names))
	},
	"cell": func(f Figures, right, answered string) int {
		for _, c := range f.Matrix {
			if c.Right == right && c.Answered == answered {
				return c.N
			}
		}
		return 0
	},
}).Parse(page))

// HTML writes the report as one page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	return pageTemplate.Execute(w, r)
}
