package bulk

import (
	"context"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/queue"
)

// Bounds of the work.
const (
	chunkLines = 500
	chunkBytes = 1 << 20 // of its lines; more than one line may have

	workers     = 2  // chunks at once in a process: enough to keep the model busy, and requests come between
	askedAtOnce = 8  // pairs of a chunk; less than the model's queue takes
	tenantShare = 4  // chunks of one tenant in the queue at once, all replicas together
	uploads     = 8  // at once in a process
	ownUploads  = 4  // of a tenant at once, all replicas together
	openJobs    = 10 // of a tenant that have not ended
	listed      = 100

	chunkTimeout = 3 * time.Minute
	chunkTime    = 2 * time.Minute // after it a chunk goes back to the queue
	begun        = 8               // chunks of which a process keeps what it had answered by then
	attempts     = 10

	retention = 7 * 24 * time.Hour
	abandoned = 10 * time.Minute // without a chunk, an upload is dead
)

// Connections is how many the pool of a Service must have: the queue's, one for each chunk, and some for requests.
const Connections = queue.Connections + workers + 4

// Mapper answers lines. *mapper.Service is one.
type Mapper interface {
	Map(ctx context.Context, t *access.Tenant, req api.MapRequest, modelOnly bool) (*api.Mapping, error)
	// Event is what is kept of a mapping; the request id and the item are left open.
	Event(c access.Caller, m *api.Mapping, begin time.Time) api.Event
	// View reads the query of a request, and Show changes an answer to what it asks for.
	View(rc *fasthttp.RequestCtx) (api.View, error)
	Show(m *api.Mapping, v api.View)
}

// Tenants knows all tenants, deleted ones too. *access.Directory is one.
type Tenants interface {
	Tenant(id string) (*access.Tenant, error)
	Tenants() []*access.Tenant
}

// Service takes, works on and answers jobs.
type Service struct {
	pool    *pgxpool.Pool // of the schema mapper
	river   *queue.Queue
	mapper  Mapper
	tenants Tenants
	log     *slog.Logger
	pack    *packer
	lines   *prometheus.CounterVec
	uploads chan struct{} // one for each that runs
	begun   *lru.Cache[args, map[string]*asked]
	patient time.Duration // with a chunk
}

// New makes a service on a pool of its own, which has Connections or more; metrics go to reg.
func New(pool *pgxpool.Pool, m Mapper, t Tenants, log *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	pack, err := newPacker()
	if err != nil {
		return nil, err
	}
	s := &Service{
		pool: pool, mapper: m, tenants: t, log: log, pack: pack, uploads: make(chan struct{}, uploads), patient: chunkTime,
		lines: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "job_lines_total", Help: "Lines of jobs that were worked on, by what became of them.",
		}, []string{"result"}),
	}
	if s.begun, err = lru.New[args, map[string]*asked](begun); err != nil {
		return nil, err
	}
	s.river, err = newRiver(s)
	return s, err
}

// Run works on jobs until ctx ends. Chunks that are not done then go back to the queue.
func (s *Service) Run(ctx context.Context) { s.river.Run(ctx, s.tidy) }
