package pii

import (
	"maps"
	"slices"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
)

func TestQuality(t *testing.T) { detecttest.Quality(t, New(), "testdata/corpus.tsv", 0.95, 0.95) }

func TestCanary(t *testing.T) { detecttest.Canary(t, New(), "testdata/corpus.tsv") }

func TestLinear(t *testing.T) {
	for _, unit := range []string{
		"4111 1111 1111 1112 ", "1", "a@", "@", "a.", "1.2.3.4.", "a:b:", "ff:ff:", "+1", "+1 202 555 0123 ", "DE89 3704 0044 0532 0130 01 ", "phone 1 ", "ssn 078051120 ", "1-2-", "é", "\xff",
		"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLx ", "12.03.1980 born ", "(((((((", "a b ",
	} {
		detecttest.Linear(t, New(), unit)
	}
}

func TestPlaces(t *testing.T) {
	detecttest.Places(t, New(), "jo@example.com", "4111 1111 1111 1111", "DE89370400440532013000", "+44 20 7946 0958", "198.51.100.23")
}

// What separates the digits of a telephone number, of minPhone at least, does not change what it is.
func TestBare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.SliceOfN(rapid.StringMatching(`[0-9]{1,5}`), 0, 4).Draw(t, "groups")
		text := rapid.SampledFrom([]string{"", "+", "(", "(+", "+44 ", "+49 (0) ", "+1 ", "+39 "}).Draw(t, "head") + rapid.StringMatching(`[0-9]{3}[ .-][0-9]{4}`).Draw(t, "first")
		for _, g := range groups {
			text += rapid.SampledFrom([]string{" ", "-", ".", "/", ") ", ")", " (", "(", ")-", " - ", "\u00a0"}).Draw(t, "gap") + g
		}
		for _, region := range []string{"", "US", "GB", "PL"} {
			got, err := phonenumbers.Parse(bare(text), region)
			want, wantErr := phonenumbers.Parse(text, region)
			if (err == nil) != (wantErr == nil) || err == nil && got.String() != want.String() {
				t.Fatalf("%q in %q: %v %v, want %v %v", text, region, got, err, want, wantErr)
			}
		}
	})
}

// valid says what the library does, of numbers that are like those of all regions.
func TestValid(t *testing.T) {
	regions := slices.Sorted(maps.Keys(phonenumbers.GetSupportedRegions()))
	rapid.Check(t, func(t *rapid.T) {
		n := phonenumbers.GetExampleNumber(rapid.SampledFrom(regions).Draw(t, "region"))
		for range rapid.IntRange(0, 8).Draw(t, "last digits that are others") {
			n.NationalNumber = proto.Uint64(n.GetNationalNumber() / 10)
		}
		tail := rapid.StringMatching(`[0-9]{0,8}`).Draw(t, "digits")
		for _, d := range tail {
			n.NationalNumber = proto.Uint64(n.GetNationalNumber()*10 + uint64(d-'0'))
		}
		if got, want := valid(n), phonenumbers.IsValidNumber(n); got != want {
			t.Fatalf("%v: %v, want %v", n, got, want)
		}
	})
}

func TestCancelled(t *testing.T) { detecttest.Cancelled(t, New()) }

func FuzzDetect(f *testing.F) { detecttest.Fuzz(f, New(), "testdata/corpus.tsv") }

func BenchmarkDetect(b *testing.B) { detecttest.Benchmark(b, New()) }
