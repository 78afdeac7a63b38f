package mapper

import (
	"math"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/framework"
	"github.com/llama-mapper/llama-mapper/services/migration"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// View reads the query.
func (s *Service) View(rc *fasthttp.RequestCtx) (v api.View, err error) {
	for key, value := range rc.QueryArgs().All() {
		switch string(key) + "=" + string(value) {
		case "source=model":
			v.ModelOnly = true
		case "controls=true":
			v.Controls = true
		case "controls=false", "taxonomy=" + s.taxonomy.Version:
		case "taxonomy=" + s.migration.To:
			v.Taxonomy = s.migration.To
		default:
			err = api.Errorf(api.InvalidRequest, "the query may be source=model, controls=true, and taxonomy=%s or %s", s.taxonomy.Version, s.migration.To)
		}
	}
	return v, err
}

// Show changes an answer to a view of it.
func (s *Service) Show(m *api.Mapping, v api.View) {
	if v.Controls {
		for _, e := range s.frameworks.Merge(m.Taxonomy, time.Now()) {
			m.Controls = append(m.Controls, e.ID())
		}
		slices.Sort(m.Controls)
		m.Controls = slices.Compact(m.Controls)
	}
	if v.Taxonomy == s.migration.To {
		downgrade(m, s.migration)
	}
}

// downgrade answers in the labels of an older taxonomy.
func downgrade(m *api.Mapping, t *migration.Table) {
	scores := map[string]float64{}
	for label, score := range m.Scores {
		old, _ := t.Old(label)
		scores[old] = math.Max(scores[old], score)
	}
	lossy := false
	m.Taxonomy, lossy = t.Labels(m.Taxonomy)
	m.Scores, m.Candidates = scores, downgraded(m.Candidates, t)
	findings := slices.Clone(m.Provenance.Findings)
	for i := range findings {
		findings[i].Labels, _ = t.Labels(findings[i].Labels)
		findings[i].Candidates = downgraded(findings[i].Candidates, t)
	}
	m.Provenance.Findings, m.VersionInfo.Taxonomy = findings, t.To
	if lossy {
		m.Notes = inOne(m.Notes, "a label that "+t.To+" does not have is answered by the nearest that it has")
	}
}

// downgraded keeps of candidates that become the same label the best.
func downgraded(candidates []api.Candidate, t *migration.Table) []api.Candidate {
	candidates = slices.Clone(candidates)
	for i, c := range candidates {
		candidates[i].Label, _ = t.Old(c.Label)
	}
	return best(candidates)
}

// listFrameworks serves GET /api/v1/frameworks.
func (h handler) listFrameworks(rc *fasthttp.RequestCtx) error {
	return web.JSON(rc, fasthttp.StatusOK, struct {
		Version    string                `json:"version"`
		Frameworks []framework.Framework `json:"frameworks"`
	}{h.frameworks.Version(), h.frameworks.Frameworks()})
}

// listControls serves GET /api/v1/controls: what a label concerns today, and why it does not concern the rest.
func (h handler) listControls(rc *fasthttp.RequestCtx) error {
	label := string(rc.QueryArgs().Peek("label"))
	if !h.Knows(label) {
		return api.Errorf(api.InvalidRequest, "label must be one of the taxonomy; GET /api/v1/taxonomy lists them")
	}
	out := struct {
		Version  string             `json:"version"`
		Controls []framework.Edge   `json:"controls"`
		None     []framework.Reason `json:"none"`
	}{h.frameworks.Version(), append([]framework.Edge{}, h.frameworks.Controls(label, time.Now())...), append([]framework.Reason{}, h.frameworks.Unmapped(label)...)}
	return web.JSON(rc, fasthttp.StatusOK, out)
}

// registerCompliance adds the routes of frameworks.
func (h handler) registerCompliance(r *web.Router) {
	r.Handle(fasthttp.MethodGet, "/api/v1/frameworks", access.Read, h.listFrameworks)
	r.Handle(fasthttp.MethodGet, "/api/v1/controls", access.Read, h.listControls)
}
