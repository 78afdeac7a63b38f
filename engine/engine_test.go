package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/llama-mapper/llama-mapper/engine/enginetest"
	"github.com/llama-mapper/llama-mapper/llama"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	codes = Task{Prefix: tokens{1, 2, 3}, Answers: []tokens{{900}, {901}, {902}, {903}}, Temperature: 1}
	texts = Task{Prefix: tokens{1}, Temperature: 1, Answers: []tokens{ // {"l":" A.x "} and so on
		{800, 801, 10, 20, 802}, {800, 801, 10, 21, 802}, {800, 801, 11, 22, 23, 24, 802}, {800, 801, 12, 802},
	}}
)

func testOptions() Options {
	o := Default()
	o.Queue, o.Slots, o.Rows, o.Prompt = 8, 4, 32, 16
	return o
}

// fixture is an engine on scripted models.
type fixture struct {
	*Engine
	models []*enginetest.Model
	reg    *prometheus.Registry
}

func newFixture(t *testing.T, task Task, o Options, models ...*enginetest.Model) fixture {
	t.Helper()
	f := fixture{models: models, reg: prometheus.NewRegistry()}
	var ms []Model
	for _, m := range models {
		m.Options = o.Context(task, 1)
		ms = append(ms, m)
	}
	e, err := New(ms, task, o, f.reg)
	if err != nil {
		t.Fatal(err)
	}
	f.Engine = e
	return f
}

func (f fixture) count(result string) int {
	return int(testutil.ToFloat64(f.metrics.ended.WithLabelValues(result)))
}

func ask(e *Engine, timeout time.Duration, prompt ...llama.Token) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return e.Ask(ctx, prompt)
}

func prefer(answer llama.Token) func(tokens, llama.Token) float32 {
	return func(_ tokens, c llama.Token) float32 {
		if c == answer {
			return 3
		}
		return float32(c%4) / 10
	}
}

func TestAskCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, codes, testOptions(), &enginetest.Model{Logit: prefer(902)})
		defer f.Close(context.Background())
		got, err := ask(f.Engine, time.Second, 5, 6, 7)
		// exp(3) against exp(0), exp(.1) and exp(.3)
		if want := (Answer{{2, 0.853}, {3, 0.057}, {1, 0.047}}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
		steps := f.models[0].Steps()
		if len(steps) != 2 || steps[1].Rows != 3 {
			t.Errorf("want the prefix and one step of 3 rows, got %v", steps)
		}
	})
}

func TestAskText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logit := func(_ tokens, c llama.Token) float32 { return map[llama.Token]float32{10: 2, 21: 1}[c] }
		f := newFixture(t, texts, testOptions(), &enginetest.Model{Logit: logit})
		defer f.Close(context.Background())
		got, err := ask(f.Engine, time.Second, 5)
		// 0.787 x 0.731; behind it answer 0 with 0.787 x 0.269, and 2 and 3 with 0.107 each
		if want := (Answer{{1, 0.575}, {0, 0.212}, {2, 0.107}}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
		// Two branches are two steps; the forced start rides with the prompt, the forced end is not decoded.
		var rows []int
		for _, s := range f.models[0].Steps() {
			rows = append(rows, s.Rows)
		}
		if !slices.Equal(rows, []int{1, 3, 1}) {
			t.Errorf("rows of the steps: %v", rows)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, codes, testOptions(), &enginetest.Model{})
		defer f.Close(context.Background())
		for _, n := range []int{0, 17} {
			if _, err := ask(f.Engine, time.Second, make(tokens, n)...); !errors.Is(err, ErrTooLong) {
				t.Errorf("%d tokens gave %v", n, err)
			}
		}
		if _, err := f.Ask(context.Background(), tokens{1}); err == nil {
			t.Error("a request without a deadline was taken")
		}
	})
	for _, o := range []Options{{}, {Queue: 1, Slots: 4, Rows: 4, Prompt: 1, Step: time.Second}} {
		if _, err := New([]Model{&enginetest.Model{}}, codes, o, prometheus.NewRegistry()); err == nil {
			t.Errorf("options %+v were taken", o)
		}
	}
}

// A full queue refuses at once, and what was taken is answered.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, codes, testOptions(), &enginetest.Model{Step: 10 * time.Millisecond})
		defer f.Close(context.Background())
		var wg sync.WaitGroup
		busy, fine := make(chan error, 40), make(chan error, 40)
		for range 40 {
			wg.Go(func() {
				start := time.Now()
				_, err := ask(f.Engine, time.Second, 5, 6, 7)
				if errors.Is(err, ErrBusy) && time.Since(start) == 0 {
					busy <- err
				} else {
					fine <- err
				}
			})
		}
		wg.Wait()
		if len(busy) < 40-8-4-1 || len(busy)+len(fine) != 40 || f.count("busy") != len(busy) || f.count("answered") != len(fine) {
			t.Errorf("%d busy, %d fine, metrics %d and %d", len(busy), len(fine), f.count("busy"), f.count("answered"))
		}
		close(fine)
		for err := range fine {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// Requests that expire or are cancelled while they wait are in no batch.
func TestExpiredIsNeverDecoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Slots = 1
		f := newFixture(t, codes, o, &enginetest.Model{Step: 100 * time.Millisecond})
		defer f.Close(context.Background())
		go ask(f.Engine, time.Second, 5)
		synctest.Wait() // it is being decoded
		var wg sync.WaitGroup
		for i := range llama.Token(6) {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				if i%2 == 0 {
					time.AfterFunc(20*time.Millisecond, cancel)
				}
				defer cancel()
				if _, err := f.Ask(ctx, tokens{100 + i}); !errors.Is(err, ctx.Err()) || err == nil {
					t.Errorf("request %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if _, err := ask(f.Engine, time.Second, 200); err != nil {
			t.Error(err)
		}
		for _, s := range f.models[0].Steps() {
			for _, tok := range s.Tokens {
				if tok >= 100 && tok < 200 {
					t.Errorf("token %d of an expired request was decoded", tok)
				}
			}
		}
		if f.count("expired") != 3 || f.count("cancelled") != 3 {
			t.Errorf("%d expired, %d cancelled", f.count("expired"), f.count("cancelled"))
		}
	})
}

// A request that expires between two steps frees its slot, and leaves nothing in it.
func TestExpiresWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Slots, o.Rows = 1, 2 // a prompt of 5 needs three steps
		f := newFixture(t, codes, o, &enginetest.Model{Step: 40 * time.Millisecond})
		defer f.Close(context.Background())
		if _, err := ask(f.Engine, 60*time.Millisecond, 5, 5, 5, 5, 5); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		alone, err := ask(f.Engine, time.Second, 7, 8, 9)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ask(f.Engine, time.Second, 7, 8, 9)
		if err != nil || !reflect.DeepEqual(alone, again) {
			t.Errorf("%v, then %v, %v", alone, again, err)
		}
	})
}

// The same prompt alone, and in any mix of neighbours and over several lanes, gives the same answer, although
// the model's logits move with the batch.
func TestNeighboursDoNotMatter(t *testing.T) {
	for _, task := range []Task{codes, texts} {
		synctest.Test(t, func(t *testing.T) {
			o := testOptions()
			o.Queue, o.Noise = 64, 1e-3
			logit := func(ts tokens, c llama.Token) float32 { // many near ties
				return float32((int(ts[len(ts)-1])+int(c))%3)/1e4 + float32(len(ts)%2)/1e4
			}
			noisy := func() *enginetest.Model {
				return &enginetest.Model{Step: time.Millisecond, Noise: o.Noise / 2, Logit: logit}
			}
			f := newFixture(t, task, o, noisy(), noisy())
			defer f.Close(context.Background())
			rng := rand.New(rand.NewPCG(1, 2))
			prompts := make([]tokens, 40)
			alone := make([]Answer, len(prompts))
			for i := range prompts {
				prompts[i] = make(tokens, 1+rng.IntN(15))
				for k := range prompts[i] {
					prompts[i][k] = 30 + rng.Int32N(50)
				}
				var err error
				if alone[i], err = ask(f.Engine, time.Second, prompts[i]...); err != nil {
					t.Fatal(err)
				}
			}
			for range 5 {
				var wg sync.WaitGroup
				for i := range prompts {
					wg.Go(func() {
						got, err := ask(f.Engine, time.Second, prompts[i]...)
						if err != nil || !reflect.DeepEqual(got, alone[i]) {
							t.Errorf("prompt %d: alone %v, among others %v, %v", i, alone[i], got, err)
						}
					})
				}
				wg.Wait()
			}
			if testutil.ToFloat64(f.metrics.redecoded) == 0 {
				t.Error("nothing was near enough to be decoded again: the test shows nothing")
			}
		})
	}
}

// An error of the model ends the requests of its batch, not the engine.
func TestDecodeError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		m := &enginetest.Model{Fail: func(b *llama.Batch) error {
			if slices.Contains(b.Tokens, 666) {
				return broken
			}
			return nil
		}}
		f := newFixture(t, codes, testOptions(), m)
		defer f.Close(context.Background())
		for range 10 { // more than there are slots
			if _, err := ask(f.Engine, time.Second, 666); !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
			if _, err := ask(f.Engine, time.Second, 5); err != nil {
				t.Error(err)
			}
		}
		if f.count("failed") != 10 {
			t.Errorf("%d failed", f.count("failed"))
		}
	})
}

// Close answers what was taken and refuses the rest.
func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, codes, testOptions(), &enginetest.Model{Step: 10 * time.Millisecond})
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := ask(f.Engine, time.Second, 5); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if _, err := ask(f.Engine, time.Second, 5); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := f.Close(context.Background()); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// Close with an ended context cuts off what runs; every caller still gets a result.
func TestCloseCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, codes, testOptions(), &enginetest.Model{Step: time.Second})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := ask(f.Engine, time.Minute, 5); !errors.Is(err, ErrClosed) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		wg.Wait()
	})
}

// Long prompts do not keep a batch above the step's time once the pace is learned.
func TestStepBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Step = 10 * time.Millisecond
		f := newFixture(t, codes, o, &enginetest.Model{Row: time.Millisecond})
		defer f.Close(context.Background())
		for range 20 {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if _, err := ask(f.Engine, time.Minute, make(tokens, 16)...); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		steps := f.models[0].Steps()
		for _, s := range steps[len(steps)/2:] {
			if s.Rows > 10 && len(s.Seqs) > 1 {
				t.Errorf("%d rows of 1 ms each in a step of %s", s.Rows, o.Step)
			}
		}
	})
}

func ExampleEngine_Ask() {
	task := Task{Prefix: tokens{1}, Answers: []tokens{{10}, {11}}, Temperature: 1}
	o := Default()
	model := &enginetest.Model{Options: o.Context(task, 1), Logit: prefer(11)}
	e, err := New([]Model{model}, task, o, prometheus.NewRegistry())
	if err != nil {
		panic(err)
	}
	defer e.Close(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(e.Ask(ctx, tokens{5, 6, 7}))
	// Output: [{1 0.943} {0 0.057}] <nil>
}
