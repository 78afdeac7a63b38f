package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/llama-mapper/llama-mapper/engine/enginetest"
	"github.com/llama-mapper/llama-mapper/llama"
)

// mark is in the prompts of requests that somebody waits for, and the others have behind.
const mark, behind llama.Token = 50, 60

// crowd asks n times in the background, and returns once those requests run or wait.
func crowd(t *testing.T, e *Engine, n int) (wait func()) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(Background(context.Background()), time.Minute)
			defer cancel()
			if _, err := e.Ask(ctx, tokens{behind, 6, 7}); err != nil {
				t.Error(err)
			}
		})
	}
	synctest.Wait()
	return wg.Wait
}

// A request waits for no more of the background than the decode that runs, and where that ends all that runs it shares
// its own decode with none of it.
func TestBackgroundYields(t *testing.T) {
	for _, task := range []Task{codes, texts} {
		synctest.Test(t, func(t *testing.T) {
			const step = 10 * time.Millisecond
			f := newFixture(t, task, testOptions(), &enginetest.Model{Step: step})
			defer f.Close(context.Background())
			wait := crowd(t, f.Engine, 100)
			for range 20 {
				time.Sleep(3 * step / 2) // into the middle of a decode
				begin, before := time.Now(), len(f.models[0].Steps())
				if _, err := ask(f.Engine, time.Minute, mark, 6, 7); err != nil {
					t.Fatal(err)
				}
				first := f.models[0].Steps()[before+1]
				if !slices.Contains(first.Tokens, mark) {
					t.Errorf("the decode after the one that ran had %v", first.Tokens)
				}
				if len(task.Answers[0]) == 1 && (slices.Contains(first.Tokens, behind) || time.Since(begin) > 2*step) {
					t.Errorf("%v, together with %v", time.Since(begin), first.Tokens)
				}
			}
			if len(f.queue) != 0 || len(f.background) == 0 {
				t.Errorf("%d wait and %d in the background: the test shows nothing", len(f.queue), len(f.background))
			}
			wait()
		})
	}
}

// Of several lanes the first is kept free of the background; those that remain answer it all.
func TestBackgroundLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, codes, testOptions(), &enginetest.Model{Step: time.Millisecond}, &enginetest.Model{Step: time.Millisecond})
		defer f.Close(context.Background())
		crowd(t, f.Engine, 20)()
		for _, s := range f.models[0].Steps() {
			if slices.Contains(s.Tokens, behind) {
				t.Error("the first lane has decoded it")
			}
		}
		for _, s := range f.models[1].Steps() {
			if len(s.Seqs) > testOptions().Slots/2 {
				t.Errorf("%d at once", len(s.Seqs))
			}
		}
	})
}

// Each queue has its own bound, and Close answers what is in both.
func TestBackgroundQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, codes, testOptions(), &enginetest.Model{Step: time.Millisecond})
		running := crowd(t, f.Engine, 1)
		wait := crowd(t, f.Engine, backgroundQueue)
		later, cancel := context.WithTimeout(Background(context.Background()), time.Minute)
		defer cancel()
		if _, err := f.Ask(later, tokens{1}); !errors.Is(err, ErrBusy) || !f.Full(later) || f.Full(context.Background()) {
			t.Errorf("%v, full: %v and %v", err, f.Full(later), f.Full(context.Background()))
		}
		if _, err := ask(f.Engine, time.Second, mark); err != nil {
			t.Error(err)
		}
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
		running()
		wait()
		if n := f.count("answered"); n != backgroundQueue+2 {
			t.Errorf("%d were answered", n)
		}
	})
}
