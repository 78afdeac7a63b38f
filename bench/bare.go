package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/llama-mapper/llama-mapper/llama"
)

var noDeadline = context.Background()

// bare decodes the same prompts as fast as a loop can that does nothing else, and returns the best requests
// per second over ways to use the cores.
func (w *work) bare(each time.Duration) (best float64, err error) {
	cores := runtime.NumCPU()
	fmt.Println("bare decode loop (no queue, no HTTP)      requests/s")
	for _, way := range []struct{ lanes, threads int }{{1, 1}, {1, cores}, {cores, 1}} {
		rate, err := w.decode(way.lanes, way.threads, each)
		if err != nil {
			return 0, err
		}
		fmt.Printf("  %2d lanes x %2d threads                    %10.0f\n", way.lanes, way.threads, rate)
		best = max(best, rate)
	}
	return best, nil
}

func (w *work) decode(lanes, threads int, each time.Duration) (float64, error) {
	model, err := llama.LoadModel(w.checkpoint.Path(w.checkpoint.Base.File), llama.ModelOptions{})
	if err != nil {
		return 0, err
	}
	adapter, err := model.LoadAdapter(w.checkpoint.Path(w.checkpoint.Adapters[0].File))
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	counts, errs := make([]int, lanes), make([]error, lanes)
	for lane := range lanes {
		wg.Go(func() { counts[lane], errs[lane] = w.loop(model, adapter, threads, lane*len(w.prompts)/lanes, each) })
	}
	wg.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / each.Seconds(), errors.Join(errors.Join(errs...), adapter.Close(), model.Close())
}

// loop fills batches with whole prompts after a shared first token, as the engine does.
func (w *work) loop(model *llama.Model, adapter *llama.Adapter, threads, next int, each time.Duration) (done int, err error) {
	const rows, sequences = 63, 17
	runtime.LockOSThread()
	x, err := model.NewContext(llama.ContextOptions{Cells: 1024, Batch: rows, Outputs: sequences, Sequences: sequences, Threads: threads, FullHead: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	if err := x.SetAdapter(adapter, w.checkpoint.Adapters[0].Scale); err != nil {
		return 0, err
	}
	var b llama.Batch
	b.Add(w.prompts[0][0], 0, 0)
	if err := x.Decode(&b); err != nil {
		return 0, err
	}
	for seq := llama.Seq(1); seq < sequences; seq++ {
		if err := x.CopySequence(0, seq); err != nil {
			return 0, err
		}
	}
	for end := time.Now().Add(each); time.Now().Before(end); {
		b.Reset()
		b.Keep = 1
		for seq := llama.Seq(1); seq < sequences; seq++ {
			prompt := w.prompts[next%len(w.prompts)][1:]
			if len(b.Tokens)+len(prompt) > rows {
				break
			}
			b.Trim = append(b.Trim, seq)
			for i, t := range prompt {
				b.Add(t, llama.Pos(1+i), seq)
			}
			b.Want(w.codes)
			next++
			done++
		}
		if err := x.Decode(&b); err != nil {
			return done, err
		}
	}
	return done, nil
}
