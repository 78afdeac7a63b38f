package pii

import "time"

// The checks here are given the characters of a number without its separators, letters in upper case, and of the
// form its shapes say, so they do not look at that again.

func num(s []byte) int {
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// luhn is the sum with every second digit from the right doubled.
func luhn(s []byte) bool {
	sum := 0
	for i := range s {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0 && !same(s)
}

// same says that all digits are one: such numbers are placeholders.
func same(s []byte) bool {
	for _, c := range s {
		if c != s[0] {
			return false
		}
	}
	return true
}

// weighted is the sum of digits by their weights.
func weighted(s []byte, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += w * int(s[i]-'0')
	}
	return sum
}

// value36 is a letter's or digit's value in base 36.
func value36(c byte) int {
	if c >= 'A' {
		return int(c-'A') + 10
	}
	return int(c - '0')
}

// mod97 is the remainder of a string in which letters stand for 10 to 35.
func mod97(s []byte) int {
	n := 0
	for _, c := range s {
		if v := value36(c); v > 9 {
			n = (n*100 + v) % 97
		} else {
			n = (n*10 + v) % 97
		}
	}
	return n
}

// mod11x10 is ISO 7064 MOD 11,10 with the check digit last.
func mod11x10(s []byte) bool {
	p := 10
	for _, c := range s[:len(s)-1] {
		if p = (p + int(c-'0')) % 10; p == 0 {
			p = 10
		}
		p = p * 2 % 11
	}
	return (11-p)%10 == int(s[len(s)-1]-'0')
}

var verhoeffD = [10][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 0, 6, 7, 8, 9, 5}, {2, 3, 4, 0, 1, 7, 8, 9, 5, 6}, {3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
	{4, 0, 1, 2, 3, 9, 5, 6, 7, 8}, {5, 9, 8, 7, 6, 0, 4, 3, 2, 1}, {6, 5, 9, 8, 7, 1, 0, 4, 3, 2}, {7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
	{8, 7, 6, 5, 9, 3, 2, 1, 0, 4}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
}

var verhoeffP = [8][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4}, {5, 8, 0, 3, 7, 9, 6, 1, 4, 2}, {8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
	{9, 4, 5, 3, 1, 2, 6, 8, 7, 0}, {4, 2, 8, 6, 5, 7, 3, 9, 0, 1}, {2, 7, 9, 3, 8, 0, 6, 4, 1, 5}, {7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
}

func verhoeff(s []byte) bool {
	var c byte
	for i := range s {
		c = verhoeffD[c][verhoeffP[i%8][s[len(s)-1-i]-'0']]
	}
	return c == 0 && !same(s)
}

// date says whether there is such a day.
func date(year, month, day int) bool {
	return month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
		time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() == day
}

// yymmdd says whether six digits are a day of some century.
func yymmdd(s []byte) bool { return date(2000+num(s[:2]), num(s[2:4]), num(s[4:6])) }

// ddmmyy is the same the other way round.
func ddmmyy(s []byte) bool { return date(2000+num(s[4:6]), num(s[2:4]), num(s[:2])) }

// weights731 sums letters and digits by 7, 3 and 1, as travel documents do.
func weights731(s []byte) int {
	sum := 0
	for i, c := range s {
		sum += value36(c) * [3]int{7, 3, 1}[i%3]
	}
	return sum
}
