package policy

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
)

// The policy that ships does what its tests say.
func TestShipped(t *testing.T) {
	raw, err := os.ReadFile("../../config/policies/default.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSuite(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Run(context.Background(), parse(t, string(config.DefaultPolicy())), nil) {
		if len(r.Faults) > 0 {
			t.Errorf("%s: %s", r.Name, strings.Join(r.Faults, "; "))
		}
	}
}

func TestSuite(t *testing.T) {
	s, err := ParseSuite([]byte("policy: x\ncases:\n  - {name: a, evidence: {detectors: [{name: d, findings: [{native: N, score: 1, labels: [PII.Other], confidence: 1}]}]}, want: {action: block, outcome: FAILURE, reasons: [coverage]}}"))
	if err != nil {
		t.Fatal(err)
	}
	r := s.Run(context.Background(), parse(t, "name: x\ndetectors: {d: {}}"), nil)
	if want := "action is flag, not block; outcome is SUCCESS, not FAILURE; reasons are [label PII.Other], not [coverage]"; len(r) != 1 || strings.Join(r[0].Faults, "; ") != want {
		t.Errorf("%+v", r)
	}
	for raw, want := range map[string]string{
		"policy: x":                       "no cases",
		"policy: x\ncolor: red":           "line 2, field color not found",
		"cases: [{evidence: {color: 1}}]": "cases[0]",
		"cases: [{evidence: 7}]":          "the evidence is none",
		strings.Repeat("#", MaxSuite+1):   "bytes",
	} {
		if _, err := ParseSuite([]byte(raw)); err == nil || !strings.Contains(err.Error(), want) || api.AsError(err).Code == api.Internal {
			t.Errorf("%.40s: %v, want %q", raw, err, want)
		}
	}
}
