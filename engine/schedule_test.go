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
	f := func(rows int, demands []demand, want ...int) {
		t.Helper()
		if got := schedule(nil, demands, rows); !slices.Equal(got, want) {
			t.Errorf("%v in %d rows: got %v, want %v", demands, rows, got, want)
		}
	}
	f(4, nil)
	f(4, []demand{prompt(3)}, 3)
	f(4, []demand{prompt(9)}, 4)
	f(4, []demand{prompt(9), answer(1)}, 3, 1) // the answer goes first
	f(4, []demand{prompt(3), prompt(3)}, 3, 1) // the oldest is finished first
	f(1, []demand{prompt(3), answer(1), answer(1)}, 0, 1, 0)
	f(8, []demand{answer(5), prompt(2), answer(2)}, 5, 1, 2)
}

func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 64).Draw(t, "rows")
		demands := rapid.SliceOf(rapid.Custom(func(t *rapid.T) demand {
			return demand{rapid.IntRange(1, 40).Draw(t, "pending"), rapid.Bool().Draw(t, "answering")}
		})).Draw(t, "demands")
		got := schedule(nil, demands, rows)
		sum, want, prompts, left := 0, 0, 0, 0
		for i, d := range demands {
			if got[i] < 0 || got[i] > d.pending {
				t.Fatalf("%d rows for a demand of %d", got[i], d.pending)
			}
			sum += got[i]
			want += d.pending
			if d.answering {
				left += d.pending - got[i]
			} else {
				prompts += got[i]
			}
		}
		if sum != min(want, rows) {
			t.Fatalf("%d rows used, %d wanted, %d allowed", sum, want, rows)
		}
		if left > 0 && prompts > 0 {
			t.Fatalf("prompts got %d rows while answers lack %d", prompts, left)
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
