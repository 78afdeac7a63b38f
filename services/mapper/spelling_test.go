package mapper

import (
	"reflect"
	"strings"
	"testing"
)

func TestSpelling(t *testing.T) {
	l, err := readLexicon(strings.NewReader("credit card number\tA.B\ncustomer account\tA.B\ncustomer accounts due\tA.B\npassword\tA.B\nsocial security\tA.B\n"), map[string]int{"A.B": 0})
	if err != nil {
		t.Fatal(err)
	}
	s := newSpeller(l, func(word string) bool { return word == "carde" || word == "pass" })
	for text, want := range map[string]string{
		"psswrd":                        "password",                         // its consonants
		"passwrod":                      "password",                         // swapped
		"pasword":                       "password",                         // missing
		"passwoord":                     "password",                         // superfluous
		"pazsword leak":                 "password leak",                    // wrong; leak is like nothing
		"creditcard nmbr":               "credit card number",               // joined
		"passw":                         "password",                         // its beginning
		"customer accountz":             "customer account",                 // rather than accounts: in as many entries, first by the alphabet
		"accountz due":                  "accounts due",                     // the word that stands beside due
		"bassword":                      "bassword",                         // the first letter is hardly ever wrong
		"carde pass soc pw x1 p4ssword": "carde pass soc pw x 1 p 4 ssword", // known, too short, or with figures
		"":                              "",
	} {
		text = normalizeWords(text)
		words, read := s.correct(text)
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
		if (len(read) > 0) != (text != want) {
			t.Errorf("%q: %q were read as others", text, read)
		}
	}
	if words, read := s.correct("password pasword"); !reflect.DeepEqual(words, []string{"password", "password"}) || len(read) > 0 {
		t.Errorf("a word that is also there as written counts as written: %q, %q", words, read)
	}
	long := strings.Repeat("passwrod ", mostMisspelt+1)
	if words, _ := s.correct(long); words[mostMisspelt-1] != "password" || words[mostMisspelt] != "passwrod" {
		t.Errorf("not %d words of a finding are corrected: %q", mostMisspelt, words)
	}
}
