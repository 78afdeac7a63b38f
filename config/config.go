// Package config reads a service's settings: defaults in code, a YAML file over them, the environment over both.
// It is strict: a key nobody knows, a value out of range or a missing variable stops the start, and all mistakes
// are reported at once. It also holds the data that ships inside the programs. It imports nothing of ours.
package config

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
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

// Database is where a Postgres is. Name and database mean the same; name wins.
type Database struct {
	Host     string `koanf:"host"`
	Port     int    `koanf:"port"`
	Name     string `koanf:"name"`
	Database string `koanf:"database"`
}

// Redis is where the cache is.
type Redis struct {
	Host string `koanf:"host"`
	Port int    `koanf:"port"`
}

// Model says what answers.
type Model struct {
	ServingBackend string `koanf:"serving_backend"` // local: the engine in this process; vllm: an OpenAI-compatible endpoint
	ModelPath      string `koanf:"model_path"`      // a checkpoint's directory, for local
	ModelEndpoint  string `koanf:"model_endpoint"`  // a URL, for vllm
}

// HTTP bounds a server. Durations are in milliseconds.
type HTTP struct {
	Host         string `koanf:"host"`             // to listen on; one address of the machine where not all may reach it
	MapperPort   int    `koanf:"mapper_port"`      // 8000; 0 takes a free one
	ReadTimeout  int    `koanf:"read_timeout_ms"`  // for a whole request to arrive; more for slow networks
	WriteTimeout int    `koanf:"write_timeout_ms"` // for a response to leave
	IdleTimeout  int    `koanf:"idle_timeout_ms"`  // between requests of a connection; more than the load balancer's
	DrainTimeout int    `koanf:"drain_timeout_ms"` // for running requests at a stop; less than the platform's grace period
	Connections  int    `koanf:"connections"`      // open at once
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
	Thresholds map[string]float64 `koanf:"thresholds"` // the same for single detectors
	TimeoutMS  int                `koanf:"timeout_ms"` // for one request
}

// Config is the settings of all services; each reads what it needs.
type Config struct {
	Environment           string   `koanf:"environment"`
	Debug                 bool     `koanf:"debug"` // log at DEBUG whatever log_level says
	LogLevel              string   `koanf:"log_level"`
	OrchestrationDatabase Database `koanf:"orchestration_database"`
	AnalysisDatabase      Database `koanf:"analysis_database"`
	MapperDatabase        Database `koanf:"mapper_database"`
	Database              Database `koanf:"database"` // for all services, where theirs is not set
	Redis                 Redis    `koanf:"redis"`
	Model                 Model    `koanf:"model"`
	HTTP                  HTTP     `koanf:"http"`
	Engine                Engine   `koanf:"engine"`
	Mapping               Mapping  `koanf:"mapping"`
}

func defaults() Config {
	return Config{
		LogLevel: "INFO",
		HTTP: HTTP{
			Host: "0.0.0.0", MapperPort: 8000, ReadTimeout: 5000, WriteTimeout: 5000, IdleTimeout: 60000, DrainTimeout: 10000, Connections: 4096,
		},
		Engine:  Engine{Queue: 96, Slots: 16, StepMS: 20, GPULayers: -1},
		Mapping: Mapping{Threshold: 0.6, TimeoutMS: 500},
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
	over := map[string]any{}
	for name, value := range env {
		if key, ok := strings.CutPrefix(name, Prefix); ok {
			over[strings.ReplaceAll(strings.ToLower(key), "__", ".")] = value
		}
	}
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
	return c, errors.Join(append(errs, c.validate())...)
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
	between := func(key string, v, least, most int) {
		check(v >= least && v <= most, "%s: %d is outside %d to %d", key, v, least, most)
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
	for key, port := range map[string]int{
		"orchestration_database.port": c.OrchestrationDatabase.Port, "analysis_database.port": c.AnalysisDatabase.Port,
		"mapper_database.port": c.MapperDatabase.Port, "database.port": c.Database.Port, "redis.port": c.Redis.Port, "http.mapper_port": c.HTTP.MapperPort,
	} {
		between(key, port, 0, 65535)
	}
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
	between("mapping.timeout_ms", c.Mapping.TimeoutMS, 1, 600000)
	check(c.Mapping.Threshold >= 0 && c.Mapping.Threshold <= 1, "mapping.threshold: %g is outside 0 to 1", c.Mapping.Threshold)
	for detector, v := range c.Mapping.Thresholds {
		check(v >= 0 && v <= 1, "mapping.thresholds.%s: %g is outside 0 to 1", detector, v)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
