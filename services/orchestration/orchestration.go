// Package orchestration looks at content: it asks detectors under the tenant's policy and one deadline, has the mapper
// name what they found, judges, and says what the decision does not rest on.
package orchestration

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/fanout"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/registry"
)

// Registry knows what tenants have registered. *registry.Directory is one.
type Registry interface {
	Detectors(tenant string) []*registry.Registered
	// Policy is the active version of a policy, and its number. The policy default is the tenant's floor, and is there
	// for every tenant.
	Policy(tenant, name string) (*policy.Policy, int, error)
}

// Options sizes a Service.
type Options struct {
	InFlight  int           // requests that are worked on at once; more are refused
	Cache     int           // answers of remote detectors that are kept; 0 keeps none
	CacheLife time.Duration // of each
}

// Parts are what a Service is made of.
type Parts struct {
	Builtin  []detect.Source
	Contents Contents // the same, for the FMS detector API
	Registry Registry
	Pool     *fanout.Pool
	Labeller *Labeller
	Recorder Recorder
	Tasks    Tasks
	Refiner  policy.Refiner
	Spells   func(native string) bool // whether a remote detector's label is made of words that are known
	Release  string                   // of this program, for receipts
}

// Service looks at content. Its methods may be called from any goroutine.
type Service struct {
	Parts
	builtin   map[string]detect.Source
	cache     *outputs
	working   chan struct{}
	decisions *prometheus.CounterVec
	failOpen  *prometheus.CounterVec
	mapped    *prometheus.CounterVec
	shadow    *prometheus.CounterVec
}

// New makes a service; metrics go to reg.
func New(p Parts, o Options, reg prometheus.Registerer) (*Service, error) {
	cache, err := newOutputs(o.Cache, o.CacheLife)
	if err != nil {
		return nil, err
	}
	auto := promauto.With(reg)
	s := &Service{
		Parts: p, builtin: map[string]detect.Source{}, cache: cache, working: make(chan struct{}, o.InFlight),
		decisions: auto.NewCounterVec(prometheus.CounterOpts{Name: "decisions_total", Help: "Orchestrations by decision and outcome."}, []string{"decision", "outcome"}),
		failOpen:  auto.NewCounterVec(prometheus.CounterOpts{Name: "fail_open_total", Help: "Detectors without whose answer content passed, because the policy says so."}, []string{"detector"}),
		mapped:    auto.NewCounterVec(prometheus.CounterOpts{Name: "mapper_requests_total", Help: "Orchestrations by whether the mapper named what was found."}, []string{"result"}),
		shadow:    auto.NewCounterVec(prometheus.CounterOpts{Name: "shadow_decisions_total", Help: "Decisions, and what the shadow policy would have decided."}, []string{"decision", "shadow"}),
	}
	for _, d := range p.Builtin {
		s.builtin[d.Name()] = d
	}
	return s, nil
}

// choose returns the policy of a request: the tenant's floor, with another policy beside it and with what the caller
// adds. notes say what was not granted.
func (s *Service) choose(t *access.Tenant, req api.OrchestrateRequest) (p *policy.Policy, chain PolicyChain, notes []string, err error) {
	p, version, err := s.Registry.Policy(t.ID, registry.Floor)
	if err != nil {
		return nil, chain, nil, err
	}
	chain = PolicyChain{Name: registry.Floor, Version: version, FloorVersion: version, FloorHash: p.Hash()}
	if req.Policy != "" && req.Policy != registry.Floor {
		chosen, version, err := s.Registry.Policy(t.ID, req.Policy)
		if err != nil {
			return nil, chain, nil, err
		}
		p, chain.Name, chain.Version = policy.Combine(p, chosen), req.Policy, version
	}
	if p, notes, err = p.With(policy.Additions{Required: req.Required, Excluded: req.Excluded}); err != nil {
		return nil, chain, nil, err
	}
	chain.Hash = p.Hash()
	return p, chain, notes, nil
}
