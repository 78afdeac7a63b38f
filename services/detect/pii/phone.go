package pii

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// A number's plan is asked of libphonenumber's tables, which takes some fifty microseconds: so many times in a
// content, and what is behind that is judged by its form.
const maxPhones = 300

const (
	minPhone, maxPhone = 7, 15 // digits
	phoneLength        = 24    // characters
)

// phone tries a telephone number whose first digits are a word.
func (s *scan) phone(i int) {
	w := s.words[i]
	start := w.start
	if start < s.phoneEnd {
		return // in the number before
	}
	if letter(s.content, start-1) || w.end-start > maxPhone {
		return
	}
	plus := start > 0 && s.content[start-1] == '+'
	if plus {
		start--
	}
	if start > 0 && s.content[start-1] == '(' && start < len(s.content) {
		start--
	}
	if start > 1 && !plus && goesOn(s.content, start) || start > 0 && strings.IndexByte("$€£#=_.@", s.content[start-1]) >= 0 && !plus {
		return
	}
	ends := s.phoneEnds(i, start)
	if len(ends) == 0 {
		return
	}
	told := near(s.words, i, i, ofPhone)
	for k := len(ends) - 1; k >= 0; k-- {
		e := ends[k]
		if plus {
			if s.international(start, e, told > 0) {
				s.phoneEnd = e
				return
			}
			continue
		}
		if s.national(start, e, told) {
			s.phoneEnd = e
			return
		}
	}
}

// international tries a number with its country. Beside a word that speaks of telephones it need not be in the
// country's plan: the length will do.
func (s *scan) international(start, end int, told bool) bool {
	text := s.content[start:end]
	switch valid := s.validPhone(text, ""); {
	case valid && told:
		s.add("PHONE_NUMBER", 1, start, end, "phone: international, in the country's plan; raised by a word near")
	case valid:
		s.add("PHONE_NUMBER", 0.8, start, end, "phone: international, in the country's plan")
	case told && possible(text):
		s.add("PHONE_NUMBER", 0.7, start, end, "phone: international, of a length the country has; raised by a word near")
	default:
		return false
	}
	return true
}

func possible(text string) bool {
	n, err := phonenumbers.Parse(bare(text), "")
	return err == nil && phonenumbers.IsPossibleNumber(n)
}

// bare is a number without what separates its digits: the tables do not ask for it, and it takes longer to read than
// they do.
func bare(text string) string {
	b := make([]byte, 0, phoneLength)
	for i := range len(text) {
		if c := text[i]; digit(c) || c == '+' {
			b = append(b, c)
		}
	}
	return string(b)
}

// phoneEnds is where a number that starts there may end: behind each group of digits, as long as it can be one.
func (s *scan) phoneEnds(i, start int) []int {
	var ends [8]int
	n, digits := 0, 0
	for k := i; k < len(s.words) && n < len(ends); k++ {
		w := s.words[k]
		if w.digits != w.end-w.start || w.end-start > phoneLength {
			break
		}
		if k > i && !phoneGap(s.content[s.words[k-1].end:w.start]) {
			break
		}
		if digits += w.digits; digits > maxPhone {
			break
		}
		if digits >= minPhone && !within(s.content, start, w.end) && !letter(s.content, w.end) {
			ends[n] = w.end
			n++
		}
	}
	return ends[:n]
}

// phoneGap says whether a separator can be inside a telephone number.
func phoneGap(s string) bool {
	switch s {
	case " ", "-", ".", "/", ") ", ")", " (", "(", ")-", " - ", "\u00a0":
		return true
	}
	return false
}

// national tries a number without its country: by the form of North America's, or by the plans of a few countries if
// a word says that it is a telephone.
func (s *scan) national(start, end, told int) bool {
	text := s.content[start:end]
	var out [longest]byte
	for _, f := range []struct {
		form  string
		alone float64
	}{{"(999) 999-9999", 0.7}, {"999-999-9999", 0.6}, {"999.999.9999", 0.5}, {"(999)999-9999", 0.7}, {"1-999-999-9999", 0.7}, {"999 999 9999", 0}, {"9999999999", 0}} {
		read, wrote := match(f.form, text, &out, false)
		if read != len(text) || read == 0 || f.alone == 0 && told == 0 {
			continue
		}
		n := out[wrote-10 : wrote]
		if n[0] < '2' || n[3] < '2' || n[1] == '1' && n[2] == '1' || n[4] == '1' && n[5] == '1' || !s.validPhone(text, "US") {
			continue
		}
		score, why := f.alone, ""
		if told > 0 {
			score, why = 0.93-0.005*float64(told), "; raised by a word near"
		}
		s.add("PHONE_NUMBER", score, start, end, "phone: North American form, in the plan"+why)
		return true
	}
	if told == 0 || end-start < 8 || strings.HasPrefix(text, "(") && !strings.Contains(text, ")") {
		return false
	}
	regions := []string{"US", "ES", "PL", "IN"}
	if strings.HasPrefix(strings.TrimPrefix(text, "("), "0") {
		regions = []string{"GB", "DE", "FR", "AU"}
	}
	for _, region := range regions {
		if s.validPhone(text, region) {
			s.add("PHONE_NUMBER", 0.8-0.005*float64(told), start, end, "phone: national, in a country's plan; told by a word near")
			return true
		}
	}
	return false
}

// validPhone asks the plan of a region, or of the country a number names.
func (s *scan) validPhone(text, region string) bool {
	if s.phones++; s.phones > maxPhones {
		return true
	}
	n, err := phonenumbers.Parse(bare(text), region)
	return err == nil && valid(n)
}

// valid is phonenumbers.IsValidNumber, which goes through the plan twice where several regions share a calling code.
// Mostly the first of them, as GB of 44, has the number, and once will do.
func valid(n *phonenumbers.PhoneNumber) bool {
	regions := phonenumbers.GetRegionCodesForCountryCode(int(n.GetCountryCode()))
	return len(regions) > 0 && phonenumbers.IsValidNumberForRegion(n, regions[0]) || len(regions) > 1 && phonenumbers.IsValidNumber(n)
}
