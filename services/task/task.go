package task

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/riverqueue/river"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/egress"
	"github.com/llama-mapper/llama-mapper/services/queue"
)

// Bounds of the work.
const (
	workers  = 8 // jobs at once in a process
	openJobs = 1000
	openSize = 256 << 20 // bytes of a tenant's requests that have not ended
	listed   = 100

	attempts = 3                // that fail
	starts   = 10               // that begin: after as many, it is the job that kills its replicas
	finish   = 15 * time.Second // for the transaction that ends a job

	retention = 24 * time.Hour // after the end
)

// Connections is how many the pool of a Service needs for it.
const Connections = queue.Connections + workers

// Answer is what a Runner has made of a request.
type Answer struct {
	Result    json.RawMessage // kept, sealed, until the job expires
	ReceiptID string          // for the webhook
	Events    []audit.Entry   // appended to the tenant's chain, if and only if the result is kept
}

// Runner answers requests. It may be asked again for a request whose answer was not kept.
type Runner interface {
	// Run answers a request as it was submitted, and says how much of the work is done, from 0 to 1. The key of c has its
	// id only. An api.Error that is retryable is tried again; another error ends the job.
	Run(ctx context.Context, c access.Caller, request []byte, progress func(float64)) (Answer, error)
}

// Tenants knows all tenants, deleted ones too. *access.Directory is one.
type Tenants interface {
	Tenant(id string) (*access.Tenant, error)
	Tenants() []*access.Tenant
}

// Service takes, works on and answers jobs.
type Service struct {
	pool    *pgxpool.Pool // of the schema orchestration
	river   *queue.Queue
	runner  Runner
	tenants Tenants
	guard   *egress.Guard
	log     *slog.Logger

	ended    *prometheus.CounterVec
	seconds  prometheus.Histogram
	webhooks *prometheus.CounterVec
}

// New makes a service on a pool, whose webhooks go where guard lets them; metrics go to reg.
func New(pool *pgxpool.Pool, r Runner, t Tenants, guard *egress.Guard, log *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	auto := promauto.With(reg)
	s := &Service{
		pool: pool, runner: r, tenants: t, guard: guard, log: log,
		ended: auto.NewCounterVec(prometheus.CounterOpts{Name: "tasks_total", Help: "Orchestrations in the background that have ended."}, []string{"state"}),
		seconds: auto.NewHistogram(prometheus.HistogramOpts{
			Name: "task_seconds", Help: "Time from an orchestration's submission to its end in the background.", Buckets: []float64{.1, .2, .5, 1, 2, 5, 10, 30, 60, 300},
		}),
		webhooks: auto.NewCounterVec(prometheus.CounterOpts{Name: "webhook_total", Help: "Attempts to deliver webhooks."}, []string{"result"}),
	}
	all := river.NewWorkers()
	if err := river.AddWorkerSafely(all, &worker{Service: s}); err != nil {
		return nil, err
	}
	if err := river.AddWorkerSafely(all, &messenger{Service: s, client: newClient(guard, "https"), plain: newClient(guard, "http")}); err != nil {
		return nil, err
	}
	var err error
	s.river, err = queue.New(pool, "orchestration", log, river.Config{
		Workers: all, Queues: map[string]river.QueueConfig{tasks: {MaxWorkers: workers}, webhooks: {MaxWorkers: workers}}, JobTimeout: api.MaxAsync + finish,
	})
	return s, err
}

// Run works on jobs until ctx ends. Those that are not done then go back to the queue.
func (s *Service) Run(ctx context.Context) { s.river.Run(ctx, s.tidy) }
