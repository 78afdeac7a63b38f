package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

var production = []string{"DB_HOST=db", "DB_PORT=5433", "DB_NAME=mapper", "REDIS_HOST=cache", "REDIS_PORT=6380", "MODEL_ENDPOINT=http://vllm:8080/v1"}

// The two files of the operators' guide load as they are, and so do ours.
func TestFiles(t *testing.T) {
	for path, backend := range map[string]string{
		"testdata/guide-development.yaml": "local", "development.yaml": "local",
		"testdata/guide-production.yaml": "vllm", "production.yaml": "vllm",
	} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse(raw, production)
		if err != nil || c.Model.ServingBackend != backend || c.Engine.Queue != 96 {
			t.Errorf("%s: %+v, %v", path, c, err)
		}
		if backend == "vllm" && (c.Database.Port != 5433 || c.Redis.Host != "cache") {
			t.Errorf("%s: variables became %+v, %+v", path, c.Database, c.Redis)
		}
		if backend == "local" && (c.MapperDatabase.Name != "llama_mapper_dev" || !c.Debug) {
			t.Errorf("%s: %+v", path, c)
		}
	}
}

func TestEnvironmentWins(t *testing.T) {
	t.Setenv("LLAMA_MAPPER_DATABASE__HOST", "elsewhere")
	t.Setenv("LLAMA_MAPPER_ENGINE__QUEUE", "7")
	t.Setenv("LLAMA_MAPPER_ENGINE__PLUGINS", "/a.so,/b.so")
	t.Setenv("LLAMA_MAPPER_GUARD__MODEL_PATHS", "a,b")
	t.Setenv("LLAMA_MAPPER_MAPPING__THRESHOLDS__PRESIDIO", "0.9")
	t.Setenv("LLAMA_MAPPER_DEBUG", "false")
	c, err := Load("development.yaml")
	if err != nil || c.Database.Host != "elsewhere" || c.Engine.Queue != 7 || c.Mapping.Thresholds["presidio"] != 0.9 || c.Debug || len(c.Engine.Plugins) != 2 || len(c.Guard.ModelPaths) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Load("absent.yaml"); err == nil {
		t.Error("loaded a file that is not there")
	}
}

// Every mistake is reported at once.
func TestMistakes(t *testing.T) {
	_, err := parse([]byte(`
log_level: LOUD
surprise: 1
redis: {host: "${ABSENT}", port: 70000, color: red}
model: {serving_backend: cloud}
engine: {queue: 0}
guard: {timeout_ms: 0}
egress: {allowed_networks: [10.0.0.0/8, localhost]}
mapping: {threshold: 2, thresholds: {x: -1, "*/PII.Other": 3}}
`), []string{"LLAMA_MAPPER_REDIS__COLOUR=blue", "LLAMA_MAPPER_REDIS__COLOR=blue"})
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"log_level", "surprise: this key", "${ABSENT}", "redis.port", "redis.color", "redis.colour", "serving_backend", "engine.queue", "guard.timeout_ms", `egress.allowed_networks: "localhost"`, "mapping.threshold:", "thresholds.x", "thresholds.*/PII.Other",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	for _, bad := range []string{"a: [", "engine: 5", "engine: {queue: many}", "model: {serving_backend: local}", "model: {serving_backend: vllm, model_endpoint: vllm:80}"} {
		if _, err := parse([]byte(bad), nil); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A secret may be in a file, and is never printed.
func TestSecrets(t *testing.T) {
	file := t.TempDir() + "/password"
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"LLAMA_MAPPER_REDIS__PASSWORD_FILE=" + file, "LLAMA_MAPPER_MAPPER_DATABASE__PASSWORD=hunter3"}
	c, err := parse([]byte("environment: development\nmodel: {serving_backend: local, model_path: x}"), environ)
	if err != nil || c.Redis.Password != "hunter2" || c.DatabaseOf("mapper").Password != "hunter3" {
		t.Fatalf("%v %v", c.Redis, err)
	}
	printed, err := c.YAML()
	if err != nil || strings.Contains(string(printed)+fmt.Sprintf("%v %+v", c, c), "hunter") || !strings.Contains(string(printed), "password: '****'") {
		t.Errorf("%s\n%v", printed, err)
	}
	for _, bad := range []string{"LLAMA_MAPPER_REDIS__PASSWORD_FILE=/absent", "LLAMA_MAPPER_REDIS__HOST_FILE=" + file, "LLAMA_MAPPER_ACCESS__MASTER_KEY=short"} {
		if _, err := parse([]byte("model: {serving_backend: local, model_path: x}"), []string{bad}); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// Where each service's schema is, and that production has limits and development none, and the reverse of networks.
func TestDatabases(t *testing.T) {
	dev, err := Load("development.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mapper, access, analysis := dev.DatabaseOf("mapper"), dev.DatabaseOf("access"), dev.DatabaseOf("analysis")
	if mapper.Name != "llama_mapper_dev" || access.Name != mapper.Name || analysis.Name != "analysis_dev" || mapper.User != "mapper" || access.User != "access" || analysis.Port != 5432 {
		t.Errorf("%+v %+v %+v", mapper, access, analysis)
	}
	raw, err := os.ReadFile("production.yaml")
	if err != nil {
		t.Fatal(err)
	}
	prod, err := parse(raw, production)
	if err != nil || prod.DatabaseOf("mapper").Host != "db" || prod.Limits.Key != 600 || dev.Limits.Key != 0 || len(prod.Egress.AllowedNetworks) != 0 || len(dev.Egress.AllowedNetworks) != 2 {
		t.Errorf("%+v %+v %+v %v", prod.DatabaseOf("mapper"), prod.Limits, prod.Egress, err)
	}
}

func TestEmbedded(t *testing.T) {
	dir, err := Detectors().Open("presidio.yaml")
	if err != nil || len(Taxonomy()) == 0 {
		t.Fatal(err)
	}
	dir.Close()
}

func FuzzParse(f *testing.F) {
	raw, err := os.ReadFile("development.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("redis: {host: ${A}}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := parse(raw, production); err == nil && c.Model.ServingBackend == "" {
			t.Error("taken without a backend")
		}
	})
}

// Every key is explained in development.yaml, and its defaults are those of the code.
func TestDevelopmentExplains(t *testing.T) {
	raw, err := os.ReadFile("development.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, comments, _ := strings.Cut(string(raw), "#\n")
	var lines []string
	for line := range strings.Lines(comments) {
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
	}
	got, err := parse([]byte("environment: development\n"+strings.Join(lines, "")), []string{"LLAMA_MAPPER_MODEL__SERVING_BACKEND=local", "LLAMA_MAPPER_MODEL__MODEL_PATH=x"})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Environment, want.Model = "development", Model{ServingBackend: "local", ModelPath: "x"}
	want.settle(func(string) bool { return false })
	if got.DatabaseOf("mapper") != want.DatabaseOf("mapper") {
		t.Errorf("databases: %+v, code has %+v", got.DatabaseOf("mapper"), want.DatabaseOf("mapper"))
	}
	got.Database = Database{}
	got.HTTP.TrustedProxies, got.Engine.Plugins, got.Guard.ModelPaths, got.Mapping.Thresholds = nil, nil, nil, nil // empty, not absent
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the file says\n%+v, the code\n%+v", got, want)
	}
	all, err := want.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(all)) {
		if key, _, _ := strings.Cut(strings.TrimSpace(line), ":"); key[0] != '-' && !strings.Contains(string(raw), key+":") {
			t.Errorf("%s is not explained", key)
		}
	}
}
