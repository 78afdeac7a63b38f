package remap_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/access/accesstest"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/journal"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
	"github.com/llama-mapper/llama-mapper/services/remap"
	"github.com/llama-mapper/llama-mapper/services/review"
	"github.com/llama-mapper/llama-mapper/services/wire/wiretest"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.DiscardHandler)
)

// model is sure of everything, or of nothing.
type model struct{}

func (model) Classify(_ context.Context, _, finding string) (mapper.Answer, error) {
	a := mapper.Answer{Label: "OTHER.Spam", Confidence: 0.9, Version: "m@1"}
	if len(finding)%2 == 0 {
		a.Confidence = 0.1
	}
	a.Candidates = []api.Candidate{{Label: a.Label, Confidence: a.Confidence}}
	return a, nil
}
func (model) Version() string            { return "m@1" }
func (model) Answers(_, _ string) string { return "m@1" }

// fixture is a mapper whose events get to Postgres, and a tenant's overrides.
type fixture struct {
	mapper    *mapper.Service
	knowledge mapper.Knowledge
	store     *review.Store
	overrides *review.Overrides
	caller    access.Caller
	log       *audit.Log
	feed      *audit.Feed
	recorded  int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	of := postgrestest.Migrated(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, _ := accesstest.Known(t, postgrestest.Pool(t, of("access"), "access"), "a")
	pool := postgrestest.Pool(t, of("mapper"), "mapper")
	j, err := journal.Open(t.TempDir(), 1<<26)
	must(err)
	f := &fixture{caller: accesstest.CallerOf(t, keys, "a"), overrides: review.NewOverrides(pool, quiet), log: audit.NewLog(j), feed: audit.NewFeed(pool)}
	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { audit.NewWriter(f.log, pool, quiet, prometheus.NewRegistry()).Run(run) })
	t.Cleanup(func() { stop(); running.Wait(); must(j.Close()) })
	f.knowledge, err = mapper.LoadKnowledge()
	must(err)
	o := mapper.DefaultOptions()
	o.Overrides, o.Timeout = f.overrides, time.Minute
	f.mapper = mapper.New(model{}, f.knowledge, o, prometheus.NewRegistry())
	f.store = review.NewStore(pool, f.mapper.Knows, f.mapper.TableOf)
	return f
}

// maps has an output mapped and its event recorded.
func (f *fixture) maps(t *testing.T, detector, output string, modelOnly bool) {
	t.Helper()
	m, err := f.mapper.Map(ctx, f.caller.Tenant, api.MapRequest{Detector: detector, Output: output, TenantID: "a"}, modelOnly)
	if err != nil {
		t.Fatalf("%s: %v", detector, err)
	}
	f.record(t, f.mapper.Event(f.caller, m, time.Now()))
}

func (f *fixture) record(t *testing.T, e api.Event) {
	t.Helper()
	if err := f.log.Record(ctx, f.caller.Tenant, []api.Event{e}); err != nil {
		t.Fatal(err)
	}
	f.recorded++
}

func (f *fixture) override(t *testing.T, detector, native, label string) (id string) {
	t.Helper()
	id, err := f.store.Override(ctx, f.caller, api.OverrideRequest{Detector: detector, Native: native, Labels: []string{label}})
	if err == nil {
		err = f.overrides.Follow(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// again maps all that is recorded with knowledge.
func (f *fixture) again(t *testing.T, k mapper.Knowledge) (remap.Counts, []remap.Change) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		h := remap.New(k, f.overrides, f.caller.Tenant)
		var all []remap.Change
		err := f.feed.Export(ctx, f.caller.Tenant, func(l audit.Line) error {
			if l.Event == nil {
				return nil
			}
			changes, err := h.Event(l.Seq, l.Event)
			all = append(all, changes...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if h.Counts.Events == int64(f.recorded) {
			return h.Counts, all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events", h.Counts.Events, f.recorded)
		}
	}
}

// with is the knowledge with other tables: what is said of a file is done to its text.
func (f *fixture) with(t *testing.T, edits map[string]*strings.Replacer) mapper.Knowledge {
	t.Helper()
	dir, shipped := fstest.MapFS{}, config.Detectors()
	names, err := fs.Glob(shipped, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		raw, err := fs.ReadFile(shipped, name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		if edit := edits[name]; edit != nil {
			if text = edit.Replace(text); text == string(raw) {
				t.Fatalf("%s stays the same", name)
			}
		}
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	k := f.knowledge
	if k.Tables, err = mapper.ParseTables(dir, k.Taxonomy); err != nil {
		t.Fatal(err)
	}
	return k
}

// everything maps the corpus of formats, and every vendor's labels as text, with and without tables.
func (f *fixture) everything(t *testing.T) {
	t.Helper()
	for i, e := range wiretest.Cases(t) {
		for _, detector := range []string{e.Detector, "pii", "presidio", "A name with blanks"} {
			f.maps(t, detector, e.Output, i%3 == 0 && detector == "pii")
		}
	}
	lists, err := filepath.Glob(filepath.Join(wiretest.Path("vendors"), "*.txt"))
	if err != nil || len(lists) < 20 {
		t.Fatal(len(lists), err)
	}
	for _, path := range lists {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for label := range strings.Lines(string(raw)) {
			if label = strings.TrimSpace(label); label != "" && label[0] != '#' {
				f.maps(t, strings.TrimSuffix(filepath.Base(path), ".txt"), fmt.Sprintf(`{"findings":[{"label":%q,"score":0.7}]}`, label), false)
			}
		}
	}
}

// With what was in force, history is what it was, down to the last finding; what cannot be told is the model's.
func TestNothingChanges(t *testing.T) {
	f := newFixture(t)
	f.override(t, "presidio", "URL", "OTHER.Spam")
	f.override(t, "x", "zzyzx_quux", "PII.Other")
	f.everything(t)
	f.maps(t, "X", "Zzyzx_Quux", false)
	counts, changes := f.again(t, f.knowledge)
	if len(changes) > 0 || counts.Changed > 0 || counts.Gone > 0 || counts.Unchanged < 1300 || counts.Model < 100 {
		t.Errorf("%+v", counts)
		for _, c := range changes[:min(10, len(changes))] {
			t.Errorf("%+v", c)
		}
	}
}

// Each kind of change is found, with its reason, and nothing else.
func TestChanges(t *testing.T) {
	f := newFixture(t)
	removed := f.override(t, "presidio", "PHONE_NUMBER", "PII.Other")
	f.override(t, "presidio", "CITY", "OTHER.Spam")
	for _, native := range []string{"US_SSN", "qxv_zzyzx", "qxv_other", "ZIP_CODE", "URL", "PHONE_NUMBER", "CITY", "TIME", "US_QXVZ"} {
		f.maps(t, "presidio", native, false)
	}
	f.maps(t, "azure", `{"categoriesAnalysis":[{"category":"Violence","severity":4},{"category":"Hate","severity":6}]}`, false)
	f.maps(t, "presidio", "qxv_zzyzx", true) // nothing but the model was asked
	f.record(t, api.Event{Kind: api.EventMapping, Detector: "presidio", Vendor: "text", Versions: api.VersionInfo{Taxonomy: "2025.09", Table: "presidio@2025.09"},
		Findings: []api.EventFinding{{Native: "CA_BN", Labels: []string{"PII.Identifier.Other"}, Source: api.SourceTable, Table: "presidio@2025.09"}}})

	f.override(t, "presidio", "URL", "OTHER.Spam")
	if err := f.store.Remove(ctx, f.caller, removed); err != nil {
		t.Fatal(err)
	}
	if err := f.overrides.Follow(ctx); err != nil {
		t.Fatal(err)
	}
	k := f.with(t, map[string]*strings.Replacer{
		"presidio.yaml": strings.NewReplacer(`version: "2026.11.2"`, `version: "next"`, "  US_SSN: [PII.Identifier.SSN]", "  US_SSN: [PII.Other]",
			"  ZIP_CODE: [PII.Contact.Address]\n", "  QXV_ZZYZX: [PII.Person.Age]\n", "  PHONE_NUMBER: [PII.Contact.Phone]\n", "",
			"  '*_PHONE_NUMBER': [PII.Contact.Phone]\n", ""),
		"azure-content-safety.yaml": strings.NewReplacer("  Hate: {", "  Hate: {6: [BIAS.Other], "),
	})
	counts, changes := f.again(t, k)
	var got []string
	for _, c := range changes {
		if strings.HasPrefix(c.Native, "hmac:") {
			c.Native = "a digest"
		}
		got = append(got, fmt.Sprint(c.Detector, " ", c.Native, " ", c.Was, " ", c.Now, " ", c.Why))
		if c.Seq < 1 || c.Time.IsZero() != (c.Native == "CA_BN") {
			t.Errorf("%+v", c)
		}
	}
	want := []string{
		"presidio US_SSN [PII.Identifier.SSN] [PII.Other] table presidio@next",
		"presidio a digest [OTHER.Spam] [PII.Person.Age] table presidio@next",
		"presidio URL [PII.Contact.URL] [OTHER.Spam] override",
		"azure Hate [HARM.SPEECH.Hate.Other] [BIAS.Other] table azure-content-safety@2026.11.2",
		"presidio CA_BN [PII.Identifier.Other] [PII.Identifier.TaxID] taxonomy 2026.11",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if want := (remap.Counts{Events: 12, Unchanged: 3, Changed: 5, Model: 2, Gone: 3}); counts != want {
		t.Errorf("%+v, want %+v", counts, want)
	}
}

// What is no mapping is passed over, and what is no event is an error that does not quote it.
func TestOtherEvents(t *testing.T) {
	h := remap.New(mapper.Knowledge{}, nil, &access.Tenant{})
	if changes, err := h.Event(1, []byte(`{"kind":"drift","findings":[{"native":"x"}]}`)); err != nil || changes != nil || h.Counts != (remap.Counts{}) {
		t.Error(changes, err, h.Counts)
	}
	if _, err := h.Event(7, []byte(`{"kind":`)); err == nil || !strings.Contains(err.Error(), "event 7") {
		t.Error(err)
	}
}
