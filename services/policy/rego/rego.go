// Package rego runs the programs of policies, in Rego, in a sandbox: they see the evidence and the judgment, and say
// which action they want. It is apart from package policy because Open Policy Agent is large.
package rego

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/policy"
)

// Deadline is what one program may take.
const Deadline = 50 * time.Millisecond

// Limits of a program.
const (
	maxRules  = 100
	maxDigits = 18  // of a number in it: larger ones cost more than they look
	programs  = 256 // that are kept compiled
)

// builtins are the functions that a program may call: pure, and with results that are no larger than what they are given.
// Calls of print are taken out when a program compiles.
var builtins = strings.Fields(`eq equal neq lt lte gt gte assign plus minus mul div abs count sum max min sort all any
	and or intersection union internal.member_2 internal.member_3 object.get object.keys object.filter object.remove
	array.slice array.reverse startswith endswith contains indexof lower upper trim trim_left trim_right trim_prefix trim_suffix
	trim_space split substring regex.match glob.match walk type_name is_number is_string is_boolean is_array is_set
	is_object is_null`)

// Why a program has changed nothing, in a word.
var (
	errProgram  = errors.New("program") // it does not compile
	errDeadline = errors.New("deadline")
	errFailed   = errors.New("failed")
	errShape    = errors.New("shape") // action is no action, or reasons are no set of names
)

// Engine runs programs and keeps them compiled. It may be used from any goroutine.
type Engine struct {
	deadline time.Duration
	compiled *lru.Cache[string, *program]
	one      sync.Mutex // held while a program compiles: a bad one takes one core, not all
}

// program is a compiled program.
type program struct {
	action, reasons rego.PreparedEvalQuery
}

var _ policy.Refiner = (*Engine)(nil)

// New makes an engine.
func New() *Engine { return within(Deadline) }

func within(deadline time.Duration) *Engine {
	compiled, err := lru.New[string, *program](programs)
	if err != nil {
		panic(err) // the size is fixed above
	}
	return &Engine{deadline: deadline, compiled: compiled}
}

// Check says what is wrong with a program. Its error is an *api.Error.
func (e *Engine) Check(text string) error {
	_, err := e.get(text)
	return err
}

// Refine implements policy.Refiner.
func (e *Engine) Refine(ctx context.Context, text string, evidence policy.Evidence, judgment policy.Judgment) (policy.Refinement, error) {
	p, err := e.get(text)
	if err != nil {
		return policy.Refinement{}, errProgram
	}
	ctx, cancel := context.WithTimeout(ctx, e.deadline)
	defer cancel()
	input := rego.EvalInput(map[string]any{"evidence": evidence, "judgment": judgment})
	said, ok, err := value(ctx, p.action, input)
	if err != nil || !ok {
		return policy.Refinement{}, err
	}
	action, ok := said.(string)
	if !ok || !slices.Contains(api.Actions, api.Action(action)) {
		return policy.Refinement{}, errShape
	}
	out := policy.Refinement{Action: api.Action(action)}
	why, ok, err := value(ctx, p.reasons, input)
	if err != nil || !ok {
		return out, err
	}
	if out.Reasons, ok = names(why); !ok {
		return policy.Refinement{}, errShape
	}
	return out, nil
}

// value evaluates a query; not ok if it has none.
func value(ctx context.Context, q rego.PreparedEvalQuery, input rego.EvalOption) (any, bool, error) {
	set, err := q.Eval(ctx, input)
	switch {
	case topdown.IsCancel(err) || ctx.Err() != nil:
		return nil, false, errDeadline
	case err != nil:
		return nil, false, errFailed
	case len(set) == 0 || len(set[0].Expressions) == 0:
		return nil, false, nil
	}
	return set[0].Expressions[0].Value, true, nil
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// names reads a set of names, which is sorted.
func names(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok || len(list) > policy.MaxReasons {
		return nil, false
	}
	out := []string{}
	for _, v := range list {
		name, ok := v.(string)
		if !ok || !nameShape.MatchString(name) {
			return nil, false
		}
		out = append(out, name)
	}
	return out, true
}

func (e *Engine) get(text string) (*program, error) {
	if p, ok := e.compiled.Get(text); ok {
		return p, nil
	}
	e.one.Lock()
	defer e.one.Unlock()
	p, err := compile(text)
	if err == nil {
		e.compiled.Add(text, p)
	}
	return p, err
}

func compile(text string) (*program, error) {
	if len(text) > policy.MaxRego {
		return nil, api.Errorf(api.InvalidRequest, "the program has more than %d bytes", policy.MaxRego)
	}
	capabilities := sandbox()
	module, err := ast.ParseModuleWithOpts("rego", text, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities})
	if err != nil {
		return nil, refused(err)
	}
	if err := modest(module); err != nil {
		return nil, err
	}
	compiler := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1).WithCapabilities(capabilities)
	if compiler.Compile(map[string]*ast.Module{"rego": module}); compiler.Failed() {
		return nil, refused(compiler.Errors)
	}
	p := &program{}
	for query, into := range map[string]*rego.PreparedEvalQuery{"data.llama_mapper.action": &p.action, "data.llama_mapper.reasons": &p.reasons} {
		// A program that says no reasons is right: its query has no rule behind it.
		if *into, err = rego.New(rego.Compiler(compiler), rego.Query(query), rego.StrictBuiltinErrors(true)).PrepareForEval(context.Background()); err != nil {
			return nil, refused(err)
		}
	}
	return p, nil
}

// sandbox is what a program may use: the functions above, and no network.
func sandbox() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.AllowNet = []string{}
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool {
		return b.Nondeterministic || !slices.Contains(builtins, b.Name)
	})
	return c
}

// modest refuses modules that are not for us, or that cost more than a policy may.
func modest(m *ast.Module) (err error) {
	if m == nil || m.Package.Path.String() != "data.llama_mapper" {
		return api.Errorf(api.InvalidRequest, "the program's package is llama_mapper")
	}
	if len(m.Rules) > maxRules {
		return api.Errorf(api.InvalidRequest, "the program has %d rules; %d are the most", len(m.Rules), maxRules)
	}
	if !slices.ContainsFunc(m.Rules, func(r *ast.Rule) bool { return r.Head.Ref().String() == "action" }) {
		return api.Errorf(api.InvalidRequest, "the program has no rule action")
	}
	ast.WalkTerms(m, func(t *ast.Term) bool {
		if n, ok := t.Value.(ast.Number); ok && (len(n) > maxDigits || strings.ContainsAny(string(n), "eE")) {
			err = api.Errorf(api.InvalidRequest, "line %d: numbers in a program have at most %d digits and no exponent", t.Location.Row, maxDigits)
		}
		return err != nil
	})
	return err
}

// refused tells the first fault of a program, which has its place and says nothing of the rest of it.
func refused(err error) error {
	var all ast.Errors
	if errors.As(err, &all) && len(all) > 0 {
		at := ""
		if all[0].Location != nil {
			at = fmt.Sprintf("line %d: ", all[0].Location.Row)
		}
		return api.Errorf(api.InvalidRequest, "the program does not compile: %s%.200s", at, all[0].Message)
	}
	return api.Errorf(api.InvalidRequest, "the program does not compile")
}
