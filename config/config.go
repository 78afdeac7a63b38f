// Package config reads a service's settings: defaults in code, a YAML file over them, the environment over both.
// It is strict: a key nobody knows, a value out of range or a missing variable stops the start, and all mistakes
// are reported at once. It also holds the data that ships inside the programs. It imports nothing of ours.
package config

import (
	"cmp"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

//go:embed taxonomy.yaml
var taxonomy []byte

//go:embed detectors/*.yaml
var detectors embed.FS

// Taxonomy is taxonomy.yaml.
func Taxonomy() []byte { return slices.Clone(taxonomy) }

// Detectors is the directory of detector tables.
func Detectors() fs.FS {
	dir, err := fs.Sub(detectors, "detectors")
	if err != nil {
		panic(err) // the name is fixed above
	}
	return dir
}

// Secret is a value that is never printed.
type Secret string

// String hides the value from everything that prints.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "****"
}

// Database is where a Postgres is. Name and database mean the same; name wins.
type Database struct {
	Host        string `koanf:"host"`
	Port        int    `koanf:"port"`
	Name        string `koanf:"name"`
	Database    string `koanf:"database"`
	User        string `koanf:"user"` // the service's own role; its name where not set
	Password    Secret `koanf:"password"`
	TLS         string `koanf:"tls"`         // libpq's sslmode: disable, prefer, require, verify-ca, verify-full
	Connections int    `koanf:"connections"` // of a pool, at most
}

// Redis is where the shared limits and the idempotency keys are.
type Redis struct {
	Host     string `koanf:"host"`
	Port     int    `koanf:"port"`
	User     string `koanf:"user"`
	Password Secret `koanf:"password"`
	TLS      bool   `koanf:"tls"`
}

// Model says what answers.
type Model struct {
	ServingBackend string `koanf:"serving_backend"` // local: the engine in this process; vllm: an OpenAI-compatible endpoint
	ModelPath      string `koanf:"model_path"`      // a checkpoint's directory, for local
	ModelEndpoint  string `koanf:"model_endpoint"`  // a URL, for vllm
}

// Guard says which models judge content in the mapper's process, at POST /v1/chat/completions.
type Guard struct {
	ModelPaths []string `koanf:"model_paths"` // directories of guards; none by default
	TimeoutMS  int      `koanf:"timeout_ms"`  // for one request; more for large models on a CPU
}

// HTTP bounds a server. Durations are in milliseconds.
type HTTP struct {
	Host              string `koanf:"host"`               // to listen on; one address of the machine where not all may reach it
	MapperPort        int    `koanf:"mapper_port"`        // 8000; 0 takes a free one
	OrchestrationPort int    `koanf:"orchestration_port"` // 8001
	AnalysisPort      int    `koanf:"analysis_port"`      // 8002
	ReadTimeout       int    `koanf:"read_timeout_ms"`    // for a whole request to arrive; more for slow networks
	WriteTimeout      int    `koanf:"write_timeout_ms"`   // for a response to leave
	IdleTimeout       int    `koanf:"idle_timeout_ms"`    // between requests of a connection; more than the load balancer's
	DrainTimeout      int    `koanf:"drain_timeout_ms"`   // for running requests at a stop; less than the platform's grace period
	Connections       int    `koanf:"connections"`        // open at once

	TLSCert        string   `koanf:"tls_cert"`        // PEM file; with tls_key the service speaks TLS, and follows changes of the files
	TLSKey         string   `koanf:"tls_key"`         // PEM file
	TrustedProxies []string `koanf:"trusted_proxies"` // networks (10.0.0.0/8) whose X-Forwarded-For and traceparent are believed
	PprofPort      int      `koanf:"pprof_port"`      // on 127.0.0.1; 0 has none
}

// Access says who may ask.
type Access struct {
	// MasterKey is 32 bytes in base64, the same for all replicas: what API keys are hashed with, tenants' data keys are
	// wrapped with, and the audit is signed with derives from it. Development makes one; production must have it.
	MasterKey Secret `koanf:"master_key"`
}

// Limits are requests a minute; 0 is no limit. A tenant's own settings come first.
type Limits struct {
	Key     int `koanf:"key"`     // of one API key
	Tenant  int `koanf:"tenant"`  // of all keys of a tenant together
	Address int `koanf:"address"` // without a valid key, from one address
}

// Audit says how events are kept.
type Audit struct {
	JournalMB     int `koanf:"journal_mb"`     // what the local journal may hold while Postgres is away; then mapping is refused
	RetentionDays int `koanf:"retention_days"` // of events; 0 keeps them; a tenant's own setting comes first
	SealMinutes   int `koanf:"seal_minutes"`   // between signatures of a chain that has grown
}

// Egress says where requests to URLs that tenants set may go beside the public internet.
type Egress struct {
	AllowedNetworks []string `koanf:"allowed_networks"` // networks (10.1.0.0/16) where detectors run, also without TLS
}

// Orchestration sizes the work on content.
type Orchestration struct {
	InFlight     int `koanf:"in_flight"`     // requests that are worked on at once; more are refused
	Cache        int `koanf:"cache"`         // answers of remote detectors that a process keeps; 0 keeps none
	CacheSeconds int `koanf:"cache_seconds"` // how long each is used
}

// Tracing sends spans by OTLP over HTTP.
type Tracing struct {
	Endpoint string  `koanf:"endpoint"` // a URL: http://collector:4318; empty sends none
	Sample   float64 `koanf:"sample"`   // share of the requests that are traced where the caller does not say
}

// Engine sizes the engine; zeros let it choose.
type Engine struct {
	Queue     int      `koanf:"queue"`      // requests that may wait, the adapters together; more rides out longer bursts, and answers later
	Lanes     int      `koanf:"lanes"`      // decoder contexts; 0: one for each core for a small model, else one
	Threads   int      `koanf:"threads"`    // of each lane; 0: what the lanes leave
	Slots     int      `koanf:"slots"`      // requests a lane decodes together
	StepMS    int      `koanf:"step_ms"`    // what one decode may take
	GPULayers int      `koanf:"gpu_layers"` // layers on the GPU, if a plug-in has one; -1 means all
	Plugins   []string `koanf:"plugins"`    // absolute paths of llama.cpp backends: libggml-cuda.so, libggml-vulkan.so
}

// Mapping decides when an answer is good enough.
type Mapping struct {
	Threshold  float64            `koanf:"threshold"`  // confidence below which the answer is OTHER.Unknown; higher sends more to review
	Thresholds map[string]float64 `koanf:"thresholds"` // the same by detector, detector/LABEL or */LABEL; a tenant's own come first
	TimeoutMS  int                `koanf:"timeout_ms"` // for one request
	Cache      int                `koanf:"cache"`      // answers of the model that a process keeps; 0 keeps none, and no whole answers either
}

// Config is the settings of all services; each reads what it needs.
type Config struct {
	Environment           string        `koanf:"environment"`
	Debug                 bool          `koanf:"debug"` // log at DEBUG whatever log_level says
	LogLevel              string        `koanf:"log_level"`
	OrchestrationDatabase Database      `koanf:"orchestration_database"`
	AnalysisDatabase      Database      `koanf:"analysis_database"`
	MapperDatabase        Database      `koanf:"mapper_database"`
	AccessDatabase        Database      `koanf:"access_database"` // tenants and keys of all services; mapper_database where not set
	Database              Database      `koanf:"database"`        // for all services, where theirs is not set
	Redis                 Redis         `koanf:"redis"`
	Model                 Model         `koanf:"model"`
	Guard                 Guard         `koanf:"guard"`
	HTTP                  HTTP          `koanf:"http"`
	Engine                Engine        `koanf:"engine"`
	Mapping               Mapping       `koanf:"mapping"`
	MapperURL             string        `koanf:"mapper_url"` // where the other services find the mapper
	StateDir              string        `koanf:"state_dir"`  // what must outlive the process: the journal; each replica has its own
	Access                Access        `koanf:"access"`
	Limits                Limits        `koanf:"limits"`
	Audit                 Audit         `koanf:"audit"`
	Tracing               Tracing       `koanf:"tracing"`
	Egress                Egress        `koanf:"egress"`
	Orchestration         Orchestration `koanf:"orchestration"`
}

// Development says whether this is no production: a master key is made, nothing is limited, state is in the tree.
func (c Config) Development() bool { return c.Environment == "development" }

// DatabaseOf is where a service's schema is, and its role there: its own settings over those for all, over defaults.
// Tenants and keys, the schema access, are beside the mapper's unless access_database says where.
func (c Config) DatabaseOf(service string) Database {
	layers := map[string][]Database{
		"mapper": {c.MapperDatabase}, "access": {c.AccessDatabase, c.MapperDatabase},
		"orchestration": {c.OrchestrationDatabase}, "analysis": {c.AnalysisDatabase},
	}[service]
	if len(layers) > 1 {
		layers[1].User, layers[1].Password = "", "" // a role is never shared
	}
	var d Database
	for _, over := range append(layers, c.Database, Database{Host: "localhost", Port: 5432, Name: "llama_mapper", User: service, TLS: "prefer", Connections: 8}) {
		d.Host, d.Port = cmp.Or(d.Host, over.Host), cmp.Or(d.Port, over.Port)
		d.Name = cmp.Or(d.Name, over.Name, over.Database)
		d.User, d.Password = cmp.Or(d.User, over.User), cmp.Or(d.Password, over.Password)
		d.TLS, d.Connections = cmp.Or(d.TLS, over.TLS), cmp.Or(d.Connections, over.Connections)
	}
	return d
}

func defaults() Config {
	return Config{
		LogLevel: "INFO",
		HTTP: HTTP{
			Host: "0.0.0.0", MapperPort: 8000, OrchestrationPort: 8001, AnalysisPort: 8002, ReadTimeout: 5000, WriteTimeout: 5000, IdleTimeout: 60000, DrainTimeout: 10000, Connections: 4096,
		},
		Engine:  Engine{Queue: 96, Slots: 16, StepMS: 20, GPULayers: -1},
		Guard:   Guard{TimeoutMS: 5000},
		Mapping: Mapping{Threshold: 0.6, TimeoutMS: 500, Cache: 100000},
		Redis:   Redis{Host: "localhost", Port: 6379}, MapperURL: "http://localhost:8000",
		Audit:   Audit{JournalMB: 1024, SealMinutes: 10},
		Tracing: Tracing{Sample: 0.01},

		Orchestration: Orchestration{InFlight: 256, Cache: 10000, CacheSeconds: 300},
	}
}

// settle fills in what depends on the environment and is not set.
func (c *Config) settle(set func(key string) bool) {
	if c.StateDir == "" {
		c.StateDir = "/var/lib/llama-mapper"
		if c.Development() {
			c.StateDir = ".run/state"
		}
	}
	if c.Development() && !set("egress.allowed_networks") {
		c.Egress.AllowedNetworks = []string{"127.0.0.0/8", "::1/128"}
	}
	for key, limit := range map[string]struct {
		at     *int
		minute int
	}{"limits.key": {&c.Limits.Key, 600}, "limits.tenant": {&c.Limits.Tenant, 600}, "limits.address": {&c.Limits.Address, 120}} {
		if !set(key) && !c.Development() {
			*limit.at = limit.minute
		}
	}
}

// Prefix begins every variable of the environment that sets a key: LLAMA_MAPPER_DATABASE__HOST is database.host.
const Prefix = "LLAMA_MAPPER_"

// Load reads the file at path and the environment.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	c, err := parse(raw, os.Environ())
	if err != nil {
		return Config{}, fmt.Errorf("config %s: %w", path, err)
	}
	return c, nil
}

func parse(raw []byte, environ []string) (Config, error) {
	c := defaults()
	tree := map[string]any{}
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return c, err
	}
	env := map[string]string{}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	var errs []error
	expand(tree, env, "", &errs)
	k := koanf.New(".")
	over := overrides(env, &errs)
	if err := errors.Join(k.Load(tied(tree), nil), k.Load(tied(maps.Unflatten(over, ".")), nil)); err != nil {
		return c, err
	}
	var meta mapstructure.Metadata
	err := k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &c, Metadata: &meta, WeaklyTypedInput: true, DecodeHook: mapstructure.StringToSliceHookFunc(","),
	}})
	if err != nil {
		errs = append(errs, err)
	}
	slices.Sort(meta.Unused)
	for _, key := range meta.Unused {
		errs = append(errs, fmt.Errorf("%s: this key is not known", key))
	}
	c.settle(k.Exists)
	return c, errors.Join(append(errs, c.validate())...)
}

// secrets are the keys that may be read from a file: LLAMA_MAPPER_REDIS__PASSWORD_FILE names one.
var secrets = regexp.MustCompile(`(^|[._])(password|master_key)$`)

// overrides are the settings that the environment has.
func overrides(env map[string]string, errs *[]error) map[string]any {
	over := map[string]any{}
	for name, value := range env {
		key, ok := strings.CutPrefix(name, Prefix)
		if !ok {
			continue
		}
		key = strings.ReplaceAll(strings.ToLower(key), "__", ".")
		if secret, ok := strings.CutSuffix(key, "_file"); ok && secrets.MatchString(secret) {
			raw, err := os.ReadFile(value)
			if err != nil {
				*errs = append(*errs, fmt.Errorf("%s: %w", secret, err))
			}
			key, value = secret, strings.TrimSpace(string(raw))
		}
		over[key] = value
	}
	return over
}

// tied is a tree that was read already, as a koanf provider.
type tied map[string]any

func (t tied) ReadBytes() ([]byte, error)    { return nil, errors.New("not bytes") }
func (t tied) Read() (map[string]any, error) { return t, nil }

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces ${NAME} in every string.
func expand(v any, env map[string]string, at string, errs *[]error) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = expand(value, env, strings.TrimPrefix(at+"."+key, "."), errs)
		}
	case []any:
		for i := range v {
			v[i] = expand(v[i], env, at, errs)
		}
	case string:
		return variable.ReplaceAllStringFunc(v, func(ref string) string {
			value, ok := env[ref[2:len(ref)-1]]
			if !ok {
				*errs = append(*errs, fmt.Errorf("%s: the variable %s is not set", at, ref))
			}
			return value
		})
	}
	return v
}

func (c *Config) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, strings.ToUpper(c.LogLevel)), "log_level: %q is not DEBUG, INFO, WARN or ERROR", c.LogLevel)
	switch c.Model.ServingBackend {
	case "local":
		check(c.Model.ModelPath != "", "model.model_path: it must name a checkpoint's directory")
	case "vllm":
		u, err := url.Parse(c.Model.ModelEndpoint)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "model.model_endpoint: it must be an http or https URL")
	default:
		check(false, "model.serving_backend: %q is not local or vllm", c.Model.ServingBackend)
	}
	if key, err := base64.StdEncoding.DecodeString(string(c.Access.MasterKey)); c.Access.MasterKey != "" {
		check(err == nil && len(key) == 32, "access.master_key: it must be 32 bytes in base64; openssl rand -base64 32 makes one")
	}
	check((c.HTTP.TLSCert == "") == (c.HTTP.TLSKey == ""), "http.tls_cert, http.tls_key: set both or none")
	for key, networks := range map[string][]string{"http.trusted_proxies": c.HTTP.TrustedProxies, "egress.allowed_networks": c.Egress.AllowedNetworks} {
		for _, network := range networks {
			_, err := netip.ParsePrefix(network)
			check(err == nil, "%s: %q is not a network such as 10.0.0.0/8", key, network)
		}
	}
	if u, err := url.Parse(c.MapperURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		check(false, "mapper_url: it must be an http or https URL")
	}
	if c.Tracing.Endpoint != "" {
		u, err := url.Parse(c.Tracing.Endpoint)
		check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "tracing.endpoint: it must be an http or https URL")
	}
	check(c.Tracing.Sample >= 0 && c.Tracing.Sample <= 1, "tracing.sample: %g is outside 0 to 1", c.Tracing.Sample)
	check(c.Mapping.Threshold >= 0 && c.Mapping.Threshold <= 1, "mapping.threshold: %g is outside 0 to 1", c.Mapping.Threshold)
	for detector, v := range c.Mapping.Thresholds {
		check(v >= 0 && v <= 1, "mapping.thresholds.%s: %g is outside 0 to 1", detector, v)
	}
	errs = append(errs, c.validateSizes()...)
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// validateSizes checks what is a number with bounds.
func (c *Config) validateSizes() (errs []error) {
	between := func(key string, v, least, most int) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s: %d is outside %d to %d", key, v, least, most))
		}
	}
	for key, port := range map[string]int{
		"orchestration_database.port": c.OrchestrationDatabase.Port, "analysis_database.port": c.AnalysisDatabase.Port, "access_database.port": c.AccessDatabase.Port,
		"mapper_database.port": c.MapperDatabase.Port, "database.port": c.Database.Port, "redis.port": c.Redis.Port, "http.mapper_port": c.HTTP.MapperPort, "http.orchestration_port": c.HTTP.OrchestrationPort, "http.analysis_port": c.HTTP.AnalysisPort,
	} {
		between(key, port, 0, 65535)
	}
	for key, n := range map[string]int{
		"orchestration_database": c.OrchestrationDatabase.Connections, "analysis_database": c.AnalysisDatabase.Connections, "access_database": c.AccessDatabase.Connections,
		"mapper_database": c.MapperDatabase.Connections, "database": c.Database.Connections,
	} {
		between(key+".connections", n, 0, 1000)
	}
	between("http.pprof_port", c.HTTP.PprofPort, 0, 65535)
	between("limits.key", c.Limits.Key, 0, 1e9)
	between("limits.tenant", c.Limits.Tenant, 0, 1e9)
	between("limits.address", c.Limits.Address, 0, 1e9)
	between("audit.journal_mb", c.Audit.JournalMB, 1, 1<<20)
	between("audit.retention_days", c.Audit.RetentionDays, 0, 36500)
	between("audit.seal_minutes", c.Audit.SealMinutes, 1, 1440)
	between("http.read_timeout_ms", c.HTTP.ReadTimeout, 1, 600000)
	between("http.write_timeout_ms", c.HTTP.WriteTimeout, 1, 600000)
	between("http.idle_timeout_ms", c.HTTP.IdleTimeout, 1, 3600000)
	between("http.drain_timeout_ms", c.HTTP.DrainTimeout, 1, 600000)
	between("http.connections", c.HTTP.Connections, 1, 1<<20)
	between("engine.queue", c.Engine.Queue, 1, 65536)
	between("engine.lanes", c.Engine.Lanes, 0, 256)
	between("engine.threads", c.Engine.Threads, 0, 512)
	between("engine.slots", c.Engine.Slots, 1, 62)
	between("engine.step_ms", c.Engine.StepMS, 1, 60000)
	between("engine.gpu_layers", c.Engine.GPULayers, -1, 10000)
	between("orchestration.in_flight", c.Orchestration.InFlight, 1, 1<<20)
	between("orchestration.cache", c.Orchestration.Cache, 0, 1e7)
	between("orchestration.cache_seconds", c.Orchestration.CacheSeconds, 1, 86400)
	between("guard.timeout_ms", c.Guard.TimeoutMS, 1, 600000)
	between("mapping.cache", c.Mapping.Cache, 0, 1e8)
	between("mapping.timeout_ms", c.Mapping.TimeoutMS, 1, 600000)
	return errs
}
