//go:build llama

package mapper

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/engine"
	"github.com/llama-mapper/llama-mapper/llama"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
	"github.com/llama-mapper/llama-mapper/services/control"
)

// edited copies the shipped checkpoint with another version and whatever edit changes of the manifest.
func edited(t testing.TB, version string, edit func(manifest map[string]any)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), version)
	if err := os.CopyFS(dir, os.DirFS(shipped)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "manifest.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := map[string]any{}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	doc["version"] = version
	if edit != nil {
		edit(doc)
	}
	if raw, err = yaml.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// worse gives two of a checkpoint's labels each other's codes, and drops the golden rows that would tell.
func worse(doc map[string]any) {
	codes := doc["codec"].(map[string]any)["codes"].(map[string]any)
	for _, pair := range [][2]string{{"PII.Contact.Email", "HARM.CRIME.Drugs"}, {"PII.Person.Name", "HARM.CRIME.Weapons"},
		{"PII.Contact.Address", "HARM.SEXUAL.Content"}, {"PII.Health.HIPAA", "JAILBREAK.Attempt"}, {"HARM.CRIME.Fraud", "OTHER.Safe"}} {
		codes[pair[0]], codes[pair[1]] = codes[pair[1]], codes[pair[0]]
	}
	delete(doc, "golden")
}

func openVersions(t *testing.T) (*Versions, *prometheus.Registry) {
	t.Helper()
	if err := llama.Open(""); err != nil {
		t.Fatal(err)
	}
	taxonomy, err := ParseTaxonomy(config.Taxonomy())
	if err != nil {
		t.Fatal(err)
	}
	store, err := checkpoint.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Default()
	o.Queue = 1024
	reg := prometheus.NewRegistry()
	v, err := NewVersions(store, func(c *checkpoint.Checkpoint) (*Local, error) {
		return NewLocal(c, taxonomy, LocalOptions{Engine: o, Cores: 2}, reg)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return v, reg
}

func do(t *testing.T, v *Versions, c control.Command) {
	t.Helper()
	if err := v.Do(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// Versions change under load: no request fails, a bad version changes nothing, and the way back is quick.
func TestVersionsChangeUnderLoad(t *testing.T) {
	v, _ := openVersions(t)
	do(t, v, control.Command{Action: "activate", Dir: edited(t, "1", nil)})
	var answered atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				one, cancel := context.WithTimeout(context.Background(), time.Minute)
				a, err := v.Classify(one, "x", "credit card number")
				cancel()
				if err != nil || a.Label != "PII.Identifier.CreditCard" {
					t.Errorf("%+v %v", a, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	do(t, v, control.Command{Action: "activate", Dir: edited(t, "2", nil)})
	if got := v.Version(); got != "mapper-tiny@2" {
		t.Errorf("version %s", got)
	}
	bad := edited(t, "3", worse)
	if err := v.Do(ctx, control.Command{Action: "activate", Dir: bad, Margin: DefaultMargin}); err == nil || !strings.Contains(err.Error(), "the margin is") {
		t.Errorf("a worse version: %v", err)
	}
	if err := v.Do(ctx, control.Command{Action: "canary", Dir: bad, Percent: 5, Margin: DefaultMargin}); err == nil {
		t.Error("a worse version became the canary")
	}
	if err := v.Do(ctx, control.Command{Action: "activate", Version: "mapper-tiny@9"}); err == nil {
		t.Error("activated what is not there")
	}
	if got := v.Version(); got != "mapper-tiny@2" {
		t.Errorf("a failure changed the version to %s", got)
	}
	do(t, v, control.Command{Action: "rollback"})
	if got := v.Version(); got != "mapper-tiny@1" {
		t.Errorf("rolled back to %s", got)
	}
	stop()
	clients.Wait()
	if answered.Load() == 0 {
		t.Error("nothing was answered meanwhile")
	}
}

// measured returns the checkpoints that requests are counted for.
func measured(t *testing.T, reg *prometheus.Registry) map[string]bool {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]bool{}
	for _, f := range families {
		if f.GetName() != "llm_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "checkpoint" {
					of[l.GetValue()] = true
				}
			}
		}
	}
	return of
}

// A canary version answers its share, always the same requests, and its figures are its own.
func TestVersionsCanary(t *testing.T) {
	v, reg := openVersions(t)
	do(t, v, control.Command{Action: "activate", Dir: edited(t, "1", nil)})
	do(t, v, control.Command{Action: "canary", Dir: edited(t, "2", nil), Percent: 30})
	if got := v.Status(); got != (Status{"mapper-tiny@1", "mapper-tiny@2", 30}) {
		t.Errorf("%+v", got)
	}
	ask := func(finding string) string {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		a, err := v.Classify(ctx, "x", finding)
		if err != nil {
			t.Fatal(err)
		}
		return a.Version
	}
	const n = 400
	canary := 0
	for i := range n {
		finding := "finding " + strings.Repeat("x", i%20) + " number " + strings.Repeat("y", i/20)
		version := ask(finding)
		if again := ask(finding); again != version {
			t.Errorf("%q went to %s, then to %s", finding, version, again)
		}
		if version == "mapper-tiny@2" {
			canary++
		}
	}
	if canary < n*20/100 || canary > n*40/100 {
		t.Errorf("the canary answered %d of %d", canary, n)
	}
	of := measured(t, reg)
	if !of["mapper-tiny@1"] || !of["mapper-tiny@2"] {
		t.Errorf("metrics of %v", of)
	}
	do(t, v, control.Command{Action: "activate", Version: "mapper-tiny@2"})
	if got := v.Status(); got != (Status{Active: "mapper-tiny@2"}) {
		t.Errorf("the canary became %+v", got)
	}
	do(t, v, control.Command{Action: "canary", Version: "mapper-tiny@1", Percent: 5})
	do(t, v, control.Command{Action: "canary", Percent: 0})
	if got := v.Status(); got != (Status{Active: "mapper-tiny@2"}) || ask("credit card number") != "mapper-tiny@2" {
		t.Errorf("%+v", got)
	}
	if err := v.Do(context.Background(), control.Command{Action: "dance"}); err == nil {
		t.Error("danced")
	}
}
