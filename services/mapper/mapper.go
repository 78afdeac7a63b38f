// Package mapper turns what detectors say into canonical labels: by a versioned table where the detector is
// known, by the model for all else, and never by a guess below the threshold.
package mapper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/sourcegraph/conc/pool"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/framework"
	"github.com/llama-mapper/llama-mapper/services/migration"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// Model answers for findings that no table knows. *Local is one.
type Model interface {
	// Classify returns the label of one finding, or ErrOverloaded, ErrTooLong, ErrClosing, or ctx's error.
	Classify(ctx context.Context, detector, finding string) (Answer, error)
	// Version names the checkpoint and its version.
	Version() string
	// Answers is the version that a finding falls to.
	Answers(detector, finding string) string
}

// Overrides are tenants' own meanings of labels, by the name of a detector's table or the detector in lower case.
// *review.Overrides is one.
type Overrides interface {
	Lookup(t *access.Tenant, detector, native string) []string
	Version(t *access.Tenant) string
}

// Reviewer is told what the model answered for labels that no table knows; known says whether the detector has a table
// at all. *review.Queue is one.
type Reviewer interface {
	Propose(t *access.Tenant, detector string, f api.Finding, known bool)
}

// Answer is a model's label with its calibrated probability, and the best labels, best first.
type Answer struct {
	Label      string
	Confidence float64
	Candidates []api.Candidate
	Version    string // of the checkpoint that answered
}

// Errors of a Model.
var (
	ErrOverloaded = errors.New("the model has more work than it takes")
	ErrTooLong    = errors.New("the finding is longer than the model reads")
	ErrClosing    = errors.New("the model is stopping")
)

// Options is what an operator can set about mapping.
type Options struct {
	Threshold  float64            // below this confidence the answer is OTHER.Unknown; 0 to 1
	Thresholds map[string]float64 // the same by detector in lower case, detector/LABEL or */LABEL; a tenant's come first
	Timeout    time.Duration      // for one request, and for a whole batch

	// What may be nil, and is then not there.
	Overrides Overrides
	Reviewer  Reviewer
	Cache     *Cache
}

// DefaultOptions are what runs when nothing is set.
func DefaultOptions() Options {
	return Options{Threshold: 0.6, Timeout: 500 * time.Millisecond}
}

// Service maps requests. Its methods may be called from any goroutine.
type Service struct {
	model      Model
	taxonomy   *Taxonomy
	tables     Tables
	frameworks *framework.Set
	migration  *migration.Table // to the taxonomy before
	opts       Options
	vocabulary vocabulary
	recent     *recent // nil without a cache
	mapped     *prometheus.CounterVec
	confidence prometheus.Histogram
}

// New makes a service; metrics go to reg.
func New(model Model, k Knowledge, o Options, reg prometheus.Registerer) *Service {
	auto := promauto.With(reg)
	s := &Service{
		model: model, taxonomy: k.Taxonomy, tables: k.Tables, frameworks: k.Frameworks, migration: k.Migration, opts: o,
		vocabulary: newVocabulary(k.Taxonomy, k.Tables),
		mapped: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "mapping_total", Help: "Answers by what they rest on; detectors without a table are other.",
		}, []string{"source", "detector"}),
		confidence: auto.NewHistogram(prometheus.HistogramOpts{
			Name: "mapping_confidence", Help: "Confidence of the answers.", Buckets: []float64{.1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .99, 1},
		}),
	}
	if o.Cache != nil {
		s.recent = newRecent()
	}
	return s
}

// Knows says whether a label is in the taxonomy.
func (s *Service) Knows(label string) bool { _, ok := s.taxonomy.order[label]; return ok }

// TableOf names the table of a detector, or the detector in lower case if it has none.
func (s *Service) TableOf(detector string) string {
	if t := s.tables[strings.ToLower(detector)]; t != nil {
		return t.Detector
	}
	return strings.ToLower(detector)
}

// inOne puts notes together.
func inOne(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(s string) bool { return s == "" }), "; ")
}

// findingsAtOnce bounds how much of the model's queue one request can take.
const findingsAtOnce = 8

// Map answers a tenant's request. With modelOnly nothing is asked but the model: no override, table or cache. Errors
// are *api.Error or of ctx.
func (s *Service) Map(ctx context.Context, tenant *access.Tenant, req api.MapRequest, modelOnly bool) (*api.Mapping, error) {
	a, err := s.answer(ctx, tenant, req, modelOnly)
	if err != nil {
		return nil, err
	}
	return a.mapping, nil
}

// answer is a mapping with what it was made of.
type answer struct {
	question
	said     []wire.Finding
	findings []api.Finding // with all that the model considered
	mapping  *api.Mapping
}

func (s *Service) answer(ctx context.Context, tenant *access.Tenant, req api.MapRequest, modelOnly bool) (*answer, error) {
	out, err := wire.Parse(req.Detector, req.Output)
	if err != nil {
		var e *api.Error
		if errors.As(err, &e) {
			return nil, e
		}
		return nil, api.Errorf(api.InvalidRequest, "output: %v", err) // wire's errors hold nothing of the output
	}
	t := s.tables.of(req.Detector, out)
	if modelOnly {
		t = nil
	}
	q := question{tenant: tenant, detector: req.Detector, name: strings.ToLower(req.Detector), table: t, fallback: out.Fallback, modelOnly: modelOnly}
	if t != nil {
		q.name = t.Detector
	}
	overrides := s.overrides(tenant)
	findings, err := s.label(ctx, q, out.Findings)
	if err != nil {
		return nil, err
	}
	a := &answer{question: q, said: out.Findings, findings: slices.Clone(findings)}
	for i, f := range findings { // an answer that is sure needs no candidates
		if f.Source == api.SourceModel {
			findings[i].Candidates = nil
		}
	}
	m := s.combine(findings)
	m.Notes = inOne(out.Note, m.Notes)
	m.Provenance = api.Provenance{
		Vendor: out.Vendor, Detector: req.Detector, TenantID: req.TenantID, Model: out.Model,
		TS: time.Now().UTC().Format(time.RFC3339Nano), Findings: findings, ModelOnly: modelOnly,
	}
	m.VersionInfo = api.VersionInfo{Taxonomy: s.taxonomy.Version, Frameworks: s.frameworks.Version(), Model: s.asked(findings), Overrides: overrides}
	if t != nil {
		m.VersionInfo.Table = t.id()
	}
	a.mapping = m
	s.note(a)
	return a, nil
}

// overrides names the version of a tenant's overrides.
func (s *Service) overrides(t *access.Tenant) string {
	if s.opts.Overrides == nil {
		return ""
	}
	return s.opts.Overrides.Version(t)
}

// note counts an answer, and has the model's answers for labels reviewed. What is not of the form of a label is not a
// vocabulary.
func (s *Service) note(a *answer) {
	detector := "other"
	if a.table != nil {
		detector = a.table.Detector
	}
	s.mapped.WithLabelValues(string(a.mapping.Source), detector).Inc()
	s.confidence.Observe(a.mapping.Confidence)
	if s.opts.Reviewer == nil || a.modelOnly {
		return
	}
	for _, f := range a.findings {
		if (f.Source == api.SourceModel || f.Source == api.SourceFallback) && labelWords(f.Native) != nil {
			s.opts.Reviewer.Propose(a.tenant, a.name, f, a.table != nil)
		}
	}
}

// stands says whether the same would be answered now: by the same version of the model, under the same overrides. All
// else stays as it is for as long as the tenant and the process do.
func (s *Service) stands(a *answer) bool {
	asked := false
	for i, f := range a.findings {
		if f.Model != "" {
			asked = true
			if s.model.Answers(a.detector, words(a.said[i])) != f.Model {
				return false
			}
		}
	}
	v := a.mapping.VersionInfo
	return s.overrides(a.tenant) == v.Overrides && (asked || s.model.Version() == v.Model)
}

// question is what findings are asked about.
type question struct {
	tenant    *access.Tenant
	detector  string // as the request has it
	name      string // of its table, or the detector in lower case
	table     *table // nil if it has none
	fallback  string // the detector whose table has what that one has not
	modelOnly bool
}

// label answers each finding: by the tenant's override, else from the table, else by the model.
func (s *Service) label(ctx context.Context, q question, said []wire.Finding) ([]api.Finding, error) {
	findings := make([]api.Finding, len(said))
	var open []int
	for i, f := range said {
		if labels := s.override(q, f); labels != nil {
			findings[i] = finding(f, labels, api.SourceOverride, 1, nil)
		} else if labels, t := s.tables.lookup(q.table, q.fallback, f, q.modelOnly); labels != nil {
			findings[i] = finding(f, labels, api.SourceTable, 1, nil)
			if t != nil {
				findings[i].Table = t.id()
			}
		} else {
			open = append(open, i)
		}
	}
	ask := func(ctx context.Context, i int) (err error) {
		findings[i], err = s.ask(ctx, q, said[i])
		return err
	}
	switch len(open) { // the usual cases need no other goroutine
	case 0:
		return findings, nil
	case 1:
		return findings, ask(ctx, open[0])
	}
	group := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(findingsAtOnce)
	for _, i := range open {
		group.Go(func(ctx context.Context) error { return ask(ctx, i) })
	}
	return findings, group.Wait()
}

func (s *Service) override(q question, f wire.Finding) []string {
	if s.opts.Overrides == nil || q.modelOnly || f.Absent() {
		return nil
	}
	return s.opts.Overrides.Lookup(q.tenant, q.name, f.Native)
}

// words are what the model reads of a finding.
func words(f wire.Finding) string { return cmp.Or(f.Words, f.Native) }

// ask puts a finding to the model, or finds what it has answered before.
func (s *Service) ask(ctx context.Context, q question, f wire.Finding) (api.Finding, error) {
	sure := func(a Answer) bool { return a.Confidence >= s.threshold(q, a.Label) }
	var a Answer
	var err error
	if s.opts.Cache == nil || q.modelOnly {
		a, err = s.model.Classify(ctx, q.detector, words(f))
	} else {
		a, err = s.opts.Cache.Classify(ctx, s.model, q.detector, words(f), sure)
	}
	if err != nil {
		return api.Finding{}, modelError(err)
	}
	out := finding(f, []string{a.Label}, api.SourceModel, a.Confidence, a.Candidates)
	if !sure(a) {
		out = finding(f, []string{labelUnknown}, api.SourceFallback, a.Confidence, a.Candidates)
	}
	out.Model = a.Version
	return out, nil
}

// asked names the checkpoints that answered for findings; the active one where none was needed.
func (s *Service) asked(findings []api.Finding) string {
	var versions []string
	for _, f := range findings {
		if f.Model != "" && !slices.Contains(versions, f.Model) {
			versions = append(versions, f.Model)
		}
	}
	if len(versions) == 0 {
		return s.model.Version()
	}
	slices.Sort(versions)
	return strings.Join(versions, ", ")
}

// threshold is the confidence that a label needs: the tenant's before the service's, a label's before a detector's.
func (s *Service) threshold(q question, label string) float64 {
	for _, set := range []map[string]float64{q.tenant.Thresholds, s.opts.Thresholds} {
		if len(set) == 0 {
			continue
		}
		for _, key := range []string{q.name + "/" + label, "*/" + label, q.name} {
			if v, ok := set[key]; ok {
				return v
			}
		}
	}
	return s.opts.Threshold
}

func modelError(err error) error {
	var e *api.Error
	switch {
	case errors.Is(err, ErrOverloaded):
		e = api.Errorf(api.Overloaded, "more is asked than the model can answer; retry after the time in Retry-After")
		e.RetryAfter = time.Second
	case errors.Is(err, ErrTooLong):
		e = api.Errorf(api.InvalidRequest, "output: a finding is longer than the model reads; send the detector's label or a short verdict, not the content")
	case errors.Is(err, ErrClosing):
		e = api.Errorf(api.Unavailable, "the service is stopping; retry elsewhere")
	default:
		return err
	}
	e.Err = err
	return e
}

func finding(f wire.Finding, labels []string, source api.Source, confidence float64, candidates []api.Candidate) api.Finding {
	out := api.Finding{
		Native: f.Native, Labels: labels, Source: source, Confidence: confidence,
		Score: f.Score, Scale: f.Scale, Raw: f.Raw, Candidates: candidates,
	}
	for _, at := range f.Spans {
		out.Span = append(out.Span, api.Span{Byte: at.Byte, Rune: at.Rune, UTF16: at.UTF16})
	}
	return out
}

// strength orders the sources, weakest first.
var strength = map[api.Source]int{api.SourceFallback: 0, api.SourceModel: 1, api.SourceTable: 2, api.SourceOverride: 3}

// combine makes one answer of the findings: all labels, each with the highest of its scores; the least of the
// confidences and the weakest of the sources. Safe gives way to any label that says more.
func (s *Service) combine(findings []api.Finding) *api.Mapping {
	m := &api.Mapping{Scores: map[string]float64{}, Confidence: 1, Source: api.SourceOverride, Controls: []string{}}
	unsure := 0
	for _, f := range findings {
		score := 1.0
		if f.Score != nil && !slices.Contains(f.Labels, labelSafe) { // else it is the score of what was not found
			score = *f.Score
		}
		for _, label := range f.Labels {
			m.Taxonomy = append(m.Taxonomy, label)
			m.Scores[label] = math.Max(m.Scores[label], score)
		}
		m.Confidence = min(m.Confidence, f.Confidence)
		if strength[f.Source] < strength[m.Source] {
			m.Source = f.Source
		}
		if f.Source == api.SourceFallback {
			unsure++
			m.Candidates = append(m.Candidates, f.Candidates...)
		}
	}
	m.Taxonomy = s.taxonomy.sort(m.Taxonomy)
	if len(m.Taxonomy) > 1 {
		m.Taxonomy = slices.DeleteFunc(m.Taxonomy, func(label string) bool { return label == labelSafe })
		delete(m.Scores, labelSafe)
	}
	if unsure > 0 {
		m.Candidates = best(m.Candidates)
		m.Notes = fmt.Sprintf("the model was not sure of %d of %d findings; its best guesses are in candidates", unsure, len(findings))
	}
	return m
}

// best keeps the three best candidates, each label once.
func best(all []api.Candidate) []api.Candidate {
	slices.SortStableFunc(all, func(a, b api.Candidate) int {
		if a.Confidence != b.Confidence {
			return int(math.Copysign(1, b.Confidence-a.Confidence))
		}
		return strings.Compare(a.Label, b.Label)
	})
	var out []api.Candidate
	for _, c := range all {
		if len(out) < 3 && !slices.ContainsFunc(out, func(o api.Candidate) bool { return o.Label == c.Label }) {
			out = append(out, c)
		}
	}
	return out
}
