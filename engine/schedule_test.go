package engine

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSchedule(t *testing.T) {
	prompt := func(n int) demand { return demand{pending: n} }
	answer := func(n int) demand { return demand{pending: n, answering: true} }
	f := func(budget int, demands []demand, want ...int) {
		t.Helper()
		if got := schedule(nil, demands, budget, 8); !slices.Equal(got, want) {
			t.Errorf("%v in %d rows: got %v, want %v", demands, budget, got, want)
		}
	}
	f(4, nil)
	f(4, []demand{prompt(3)}, 3)
	f(4, []demand{prompt(6)}, 6)               // the first goes in whole, past the budget
	f(4, []demand{prompt(9)}, 8)               // but not past the batch
	f(4, []demand{prompt(9), answer(1)}, 0, 1) // the answer goes first
	f(4, []demand{prompt(3), prompt(3)}, 3, 0) // what does not fit is not split
	f(6, []demand{prompt(3), prompt(3)}, 3, 3)
	f(6, []demand{prompt(3), prompt(4), prompt(1)}, 3, 0, 0) // nor overtaken
	f(1, []demand{prompt(3), answer(1), answer(1)}, 0, 1, 0)
	f(8, []demand{answer(5), prompt(1), answer(2)}, 5, 1, 2)
}

func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 64).Draw(t, "most")
		budget := rapid.IntRange(1, most).Draw(t, "budget")
		demands := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) demand {
			return demand{rapid.IntRange(1, 80).Draw(t, "pending"), rapid.Bool().Draw(t, "answering")}
		}), 1, 20).Draw(t, "demands")
		got := schedule(nil, demands, budget, most)
		sum, taken, split, waits, prompts := 0, 0, 0, false, 0
		for i, d := range demands {
			sum += got[i]
			if got[i] > 0 {
				taken++
			}
			if got[i] > 0 && got[i] < d.pending {
				split++
			}
			if d.answering {
				waits = waits || got[i] == 0
			} else {
				prompts += got[i]
			}
		}
		switch {
		case sum == 0:
			t.Fatal("nothing was taken")
		case sum > most || sum > budget && taken > 1:
			t.Fatalf("%d rows for %d of at most %d, budget %d", sum, taken, most, budget)
		case split > 0 && taken > 1:
			t.Fatal("something was split beside others")
		case waits && prompts > 0:
			t.Fatal("a prompt went before an answer")
		}
	})
}

func TestShare(t *testing.T) {
	f := func(waiting, lanes, room, want int) {
		t.Helper()
		if got := share(waiting, lanes, room); got != want {
			t.Errorf("share(%d, %d, %d) = %d, want %d", waiting, lanes, room, got, want)
		}
	}
	f(0, 2, 16, 1)
	f(1, 2, 16, 1)
	f(8, 2, 16, 4)
	f(9, 2, 16, 5)
	f(90, 2, 16, 16)
	f(90, 2, 0, 0)
}

func TestPace(t *testing.T) {
	p := pace{step: 20 * time.Millisecond, most: 63}
	if got := p.budget(); got != 63 {
		t.Errorf("before anything was seen: %d rows", got)
	}
	for range 100 {
		p.observe(40, 40*time.Millisecond) // 1 ms a row
	}
	if got := p.budget(); got < 19 || got > 20 {
		t.Errorf("at 1 ms a row: %d rows in 20 ms", got)
	}
	for range 100 {
		p.observe(20, 2*time.Second)
	}
	if got := p.budget(); got != 1 {
		t.Errorf("at 100 ms a row: %d rows, want the least", got)
	}
	before := p.row
	p.observe(1, time.Hour)
	if p.row > before+float64(time.Hour/time.Second)*0.2/63*1.01 {
		t.Errorf("one row moved the cost from %g to %g", before, p.row)
	}
}
