package policy

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/api"
)

var (
	someDetectors = []string{"code", "injection", "pii", "presidio", "secrets"}
	someLabels    = []string{"HARM.SPEECH.Insult", "OTHER.Unknown", "PII.Contact.Email", "PII.Person.Name", "SECURITY.Credential.Token"}
	someNatives   = []string{"EMAIL", "INSULT", "NAME", "TOKEN"}
	someCovers    = []string{"HARM", "PII", "PII.Contact", "PII.Person.Name", "SECURITY"}
	somePatterns  = []string{"*", "PII.*", "*.Token", "OTHER.Unknown", "PII.Contact.Email", "HARM*"}
	allStrategies = []Strategy{WeightedAverage, MajorityVote, HighestConfidence, MostRestrictive, TenantPreference, RequiredConsensus}
	allStatuses   = []api.DetectorStatus{api.StatusOK, api.StatusOK, api.StatusOK, api.StatusError, api.StatusTimeout, api.StatusSkipped, api.StatusUnsupported}
	shares        = rapid.Map(rapid.IntRange(0, 10), func(i int) float64 { return float64(i) / 10 })
	onErrors      = []api.Action{api.ActionAllow, api.ActionReview, api.ActionBlock}
)

func some[T any](of []T) *rapid.Generator[[]T] { return rapid.SliceOfN(rapid.SampledFrom(of), 0, 3) }

func anyPolicy(name string) *rapid.Generator[*Policy] {
	return rapid.Custom(func(t *rapid.T) *Policy {
		p := &Policy{
			Name: name, DeadlineMS: rapid.IntRange(1, 3).Draw(t, "deadline"), ContentTypes: some(everyType).Draw(t, "types"), Detectors: map[string]Detector{},
			Conflict: map[api.ContentType]Strategy{}, Prefer: some(someDetectors).Draw(t, "prefer"), Unmapped: rapid.SampledFrom(api.Actions).Draw(t, "unmapped"),
			Coverage: CoverageRule{rapid.SampledFrom(methods).Draw(t, "method"), shares.Draw(t, "minimum"), some(someCovers).Draw(t, "categories")},
		}
		for _, c := range everyType {
			p.Conflict[c] = rapid.SampledFrom(allStrategies).Draw(t, "strategy")
		}
		for _, d := range some(someDetectors).Draw(t, "detectors") {
			p.Detectors[d] = Detector{
				Mode: rapid.SampledFrom(modes).Draw(t, "mode"), OnError: rapid.SampledFrom(onErrors).Draw(t, "on_error"),
				Weight: float64(rapid.IntRange(1, 4).Draw(t, "weight")), Threshold: shares.Draw(t, "threshold"),
				Thresholds: rapid.MapOfN(rapid.SampledFrom(someNatives), shares, 0, 2).Draw(t, "thresholds"), ContentTypes: some(everyType).Draw(t, "types"),
				TimeoutMS: rapid.IntRange(0, 2).Draw(t, "timeout"), Excludable: rapid.Bool().Draw(t, "excludable"),
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			p.Rules = append(p.Rules, Rule{some(somePatterns).Draw(t, "labels"), shares.Draw(t, "score"), shares.Draw(t, "confidence"), rapid.SampledFrom(api.Actions).Draw(t, "action")})
		}
		return p.made()
	})
}

func anyEvidence() *rapid.Generator[Evidence] {
	return rapid.Custom(func(t *rapid.T) Evidence {
		e := Evidence{ContentType: rapid.SampledFrom(everyType).Draw(t, "type"), Characters: rapid.IntRange(0, 4).Draw(t, "characters"), Mapped: true}
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(someDetectors), 0, 5).Draw(t, "detectors") {
			d := DetectorEvidence{Name: name, Status: rapid.SampledFrom(allStatuses).Draw(t, "status"), Covers: some(someCovers).Draw(t, "covers"), Scanned: rapid.IntRange(0, 4).Draw(t, "scanned")}
			for range rapid.IntRange(0, 3).Draw(t, "findings") {
				d.Findings = append(d.Findings, Finding{
					Native: rapid.SampledFrom(someNatives).Draw(t, "native"), Score: shares.Draw(t, "score"), Labels: some(someLabels).Draw(t, "labels"),
					Confidence: shares.Draw(t, "confidence"), Places: rapid.IntRange(0, 2).Draw(t, "places"),
				})
			}
			e.Detectors = append(e.Detectors, d)
		}
		return e
	})
}

// milder fails if a judgment is milder than another in anything.
func milder(t *rapid.T, got, than Judgment) {
	if weaker(got.Action, than.Action) < 0 {
		t.Fatalf("%s is milder than %s", got.Action, than.Action)
	}
	if got.Coverage.Met && !than.Coverage.Met {
		t.Fatalf("coverage became enough: %+v, %+v", got.Coverage, than.Coverage)
	}
	for _, label := range than.Redact {
		if !slices.Contains(got.Redact, label) {
			t.Fatalf("%s is not redacted any more", label)
		}
	}
	for _, name := range than.FailOpen {
		if !slices.Contains(got.FailOpen, name) {
			t.Fatalf("%s failed open and it is not told", name)
		}
	}
	for _, v := range than.Labels {
		if i, found := slices.BinarySearchFunc(got.Labels, v.Label, byLabel); !found || weaker(got.Labels[i].Action, v.Action) < 0 {
			t.Fatalf("%s is milder than %s", v.Label, v.Action)
		}
	}
}

func TestCombineIsNoWeaker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, x, y, e := anyPolicy("f").Draw(t, "floor"), anyPolicy("x").Draw(t, "chosen"), anyPolicy("y").Draw(t, "third"), anyEvidence().Draw(t, "evidence")
		both := Combine(f, x)
		three := Combine(both, y)
		for _, p := range []*Policy{f, x} {
			milder(t, both.Judge(e), p.Judge(e))
		}
		for _, p := range []*Policy{f, x, y, both} {
			milder(t, three.Judge(e), p.Judge(e))
		}
		if both.DeadlineMS > min(f.DeadlineMS, x.DeadlineMS) || f.Hash() == both.Hash() {
			t.Fatal(both)
		}
		for name := range f.Detectors {
			if _, ok := both.Detectors[name]; !ok {
				t.Fatal(name)
			}
		}
	})
}

func TestWithIsNoWeaker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, e := anyPolicy("p").Draw(t, "policy"), anyEvidence().Draw(t, "evidence")
		if rapid.Bool().Draw(t, "combined") {
			p = Combine(anyPolicy("f").Draw(t, "floor"), p)
		}
		required, excluded := some(someDetectors[:3]).Draw(t, "required"), some(someDetectors[3:]).Draw(t, "excluded")
		with, _, err := p.With(Additions{required, excluded})
		if err != nil {
			t.Fatal(err)
		}
		milder(t, with.Judge(e), p.Judge(e))
		for _, name := range required {
			if d := with.Detectors[name]; d.Mode != Required || d.OnError == api.ActionAllow || d.Excluded {
				t.Fatalf("%+v", d)
			}
		}
		for name, d := range with.Detectors {
			if d.Excluded && d.Mode != Shadow && !p.Detectors[name].Excludable {
				t.Fatalf("%s was left out", name)
			}
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, e := Combine(anyPolicy("f").Draw(t, "floor"), anyPolicy("p").Draw(t, "policy")), anyEvidence().Draw(t, "evidence")
		other := e
		other.Detectors = rapid.Permutation(e.Detectors).Draw(t, "detectors")
		for i := range other.Detectors {
			other.Detectors[i].Findings = rapid.Permutation(other.Detectors[i].Findings).Draw(t, "findings")
		}
		if a, b := p.Judge(e), p.Judge(other); !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	})
}

// What shadow detectors say, or that they say nothing, changes nothing but what is told of them.
func TestShadowDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, e := anyPolicy("p").Draw(t, "policy"), anyEvidence().Draw(t, "evidence")
		without := e
		without.Detectors = slices.DeleteFunc(slices.Clone(e.Detectors), func(d DetectorEvidence) bool { return p.Detectors[d.Name].Mode == Shadow })
		a, b := p.Judge(e), p.Judge(without)
		a.ShadowLabels, b.ShadowLabels = nil, nil
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	})
}

// A judgment has a reason for whatever it asks, and numbers that are shares.
func TestJudgmentIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, e := Combine(anyPolicy("f").Draw(t, "floor"), anyPolicy("p").Draw(t, "policy")), anyEvidence().Draw(t, "evidence")
		for i := range e.Detectors { // that are none
			for k := range e.Detectors[i].Findings {
				f := &e.Detectors[i].Findings[k]
				f.Score = rapid.SampledFrom([]float64{f.Score, math.NaN(), math.Inf(1), -1, 7}).Draw(t, "score")
			}
		}
		j := p.Judge(e)
		if (j.Action == api.ActionAllow) != (len(j.Reasons) == 0) || len(j.Reasons) > 0 && j.Reasons[0].Action != j.Action {
			t.Fatalf("%s: %+v", j.Action, j.Reasons)
		}
		if !j.Coverage.Met && weaker(j.Action, api.ActionUnverified) < 0 || j.Outcome == api.OutcomeFailure && j.Coverage.Minimum > 0 && j.Coverage.Met {
			t.Fatalf("%+v", j)
		}
		for _, v := range j.Labels {
			if !share01(v.Score) || !share01(v.Confidence) || !share01(math.Abs(v.Delta)) || !v.Holds && v.Action != api.ActionAllow {
				t.Fatalf("%+v", v)
			}
		}
	})
}

func share01(v float64) bool { return v >= 0 && v <= 1 }
