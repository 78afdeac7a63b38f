package pii

import (
	"bytes"
	"slices"
	"strings"
)

func card(s []byte) bool { return network(s) && luhn(s) }

// network says whether a card network issues numbers with such a beginning and length.
func network(s []byte) bool {
	n, p2, p3, p4 := len(s), num(s[:2]), num(s[:3]), num(s[:4])
	switch {
	case s[0] == '4':
		return n == 13 || n == 16 || n == 19
	case p2 >= 51 && p2 <= 55, p4 >= 2221 && p4 <= 2720, p2 == 35:
		return n == 16
	case p2 == 34 || p2 == 37:
		return n == 15
	case p2 == 36 || p2 == 38 || p2 == 39 || p3 >= 300 && p3 <= 305:
		return n == 14
	case p4 == 6011 || p3 >= 644 && p3 <= 649 || p2 == 65 || p2 == 62:
		return n >= 16 && n <= 19
	case p4 == 5018 || p4 == 5020 || p4 == 5038 || p4 == 6304 || p4 == 6759 || p4 >= 6761 && p4 <= 6763:
		return n == 16 || n == 18 || n == 19
	}
	return false
}

func ssn(s []byte) bool {
	area := num(s[:3])
	return area > 0 && area != 666 && area < 900 && num(s[3:5]) > 0 && num(s[5:]) > 0 && !same(s)
}

func itin(s []byte) bool {
	g := num(s[3:5])
	return s[0] == '9' && (g >= 50 && g <= 65 || g >= 70 && g <= 88 || g >= 90 && g <= 92 || g >= 94)
}

func aba(s []byte) bool {
	p := num(s[:2])
	return (p <= 12 || p >= 21 && p <= 32 || p >= 61 && p <= 72 || p == 80) && !same(s) && weighted(s, 3, 7, 1, 3, 7, 1, 3, 7, 1)%10 == 0
}

func npi(s []byte) bool {
	return (s[0] == '1' || s[0] == '2') && luhn(append([]byte("80840"), s...))
}

func mbi(s []byte) bool {
	for _, i := range []int{1, 2, 4, 5, 7, 8} {
		if strings.IndexByte("SLOIBZ", s[i]) >= 0 {
			return false
		}
	}
	return s[0] != '0'
}

func dea(s []byte) bool {
	return strings.IndexByte("ABCDEFGHJKLMPRSTUX", s[0]) >= 0 && weighted(s[2:], 1, 2, 1, 2, 1, 2)%10 == int(s[8]-'0') && !same(s[2:])
}

func nhs(s []byte) bool {
	c := 11 - weighted(s, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	return c%11 == int(s[9]-'0') && c != 10 && !same(s)
}

func nino(s []byte) bool {
	if strings.IndexByte("DFIQUV", s[0]) >= 0 || strings.IndexByte("DFIOQUV", s[1]) >= 0 || s[8] > 'D' {
		return false
	}
	return !slices.Contains([]string{"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}, string(s[:2]))
}

// ukDriver is five characters of the name, the birth date among the digits, initials and a check.
func ukDriver(s []byte) bool {
	nines := false
	for _, c := range s[:5] {
		if c >= '0' && c <= '8' || nines && c != '9' {
			return false
		}
		nines = c == '9'
	}
	month := num(s[6:8]) % 50
	return s[0] != '9' && month >= 1 && month <= 12 && num(s[6:8]) <= 62 && num(s[8:10]) >= 1 && num(s[8:10]) <= 31
}

func caSIN(s []byte) bool { return s[0] != '8' && luhn(s) }

func abn(s []byte) bool {
	return s[0] != '0' && (weighted(s, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)-10)%89 == 0
}

func acn(s []byte) bool {
	return (10-weighted(s, 8, 7, 6, 5, 4, 3, 2, 1)%10)%10 == int(s[8]-'0') && !same(s)
}

func tfn(s []byte) bool { return weighted(s, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0 && !same(s) }

func auMedicare(s []byte) bool {
	return s[0] >= '2' && s[0] <= '6' && weighted(s, 1, 3, 7, 9, 1, 3, 7, 9)%10 == int(s[8]-'0')
}

func pan(s []byte) bool { return strings.IndexByte("ABCFGHLJPTK", s[3]) >= 0 }

func aadhaar(s []byte) bool { return s[0] >= '2' && verhoeff(s) }

func gstin(s []byte) bool {
	if s[13] != 'Z' || num(s[:2]) < 1 || num(s[:2]) > 38 {
		return false
	}
	sum := 0
	for i, c := range s[:14] {
		v := value36(c) * (1 + i%2)
		sum += v/36 + v%36
	}
	return (36-sum%36)%36 == value36(s[14])
}

func nif(s []byte) bool {
	return "TRWAGMYFPDXBNJZSQVHLCKE"[num(s[:8])%23] == s[8] && num(s[:8]) > 0
}

func nie(s []byte) bool {
	first := strings.IndexByte("XYZ", s[0])
	return first >= 0 && "TRWAGMYFPDXBNJZSQVHLCKE"[(first*10000000+num(s[1:8]))%23] == s[8]
}

// Values of characters in odd places of an Italian fiscal code, by value in even ones.
var fiscalOdd = [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}

func fiscal(s []byte) bool {
	sum := 0
	for i, c := range s[:15] {
		v := value36(c)
		if v > 9 {
			v -= 10
		}
		if i%2 == 0 {
			v = fiscalOdd[v]
		}
		sum += v
	}
	day := num(s[9:11]) % 40
	return strings.IndexByte("ABCDEHLMPRST", s[8]) >= 0 && day >= 1 && day <= 31 && byte('A'+sum%26) == s[15]
}

func itVAT(s []byte) bool {
	return luhn(s[len(s)-11:]) && (len(s) == 11 || string(s[:2]) == "IT")
}

func pesel(s []byte) bool {
	c := (10 - weighted(s, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10) % 10
	return c == int(s[10]-'0') && date(2000+num(s[:2]), num(s[2:4])%20, num(s[4:6])) && !same(s)
}

// deTax wants that one digit of the first ten is there two or three times, and not all others once.
func deTax(s []byte) bool {
	most := 0
	for d := byte('0'); d <= '9'; d++ {
		most = max(most, bytes.Count(s[:10], []byte{d}))
	}
	return s[0] != '0' && (most == 2 || most == 3) && mod11x10(s)
}

// kvnr is a German health insurance number: the letter is two digits, the rest a Luhn sum from the left.
func kvnr(s []byte) bool {
	v := int(s[0]-'A') + 1
	digits := append([]byte{byte('0' + v/10), byte('0' + v%10)}, s[1:9]...)
	sum := 0
	for i, c := range digits {
		d := int(c-'0') * (1 + i%2)
		sum += d/10 + d%10
	}
	return sum%10 == int(s[9]-'0')
}

// deSocial is a German pension insurance number.
func deSocial(s []byte) bool {
	v := int(s[8]-'A') + 1
	digits := append(append(append([]byte{}, s[:8]...), byte('0'+v/10), byte('0'+v%10)), s[9:11]...)
	sum := 0
	for i, w := range []int{2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1} {
		d := int(digits[i]-'0') * w
		sum += d/10 + d%10
	}
	return sum%10 == int(s[11]-'0') && num(s[2:4])%50 <= 31 && num(s[4:6]) >= 1 && num(s[4:6]) <= 12
}

func deVAT(s []byte) bool { return mod11x10(s[2:]) && s[2] != '0' && string(s[:2]) == "DE" }

// deDocument is nine characters and, if it is there, a check digit.
func deDocument(first string) func(s []byte) bool {
	return func(s []byte) bool {
		if strings.IndexByte(first, s[0]) < 0 || bytes.ContainsAny(s, "ABDEIOQSU") || !bytes.ContainsAny(s[1:9], "0123456789") {
			return false
		}
		return len(s) == 9 || s[9] <= '9' && weights731(s[:9])%10 == int(s[9]-'0')
	}
}

func nir(s []byte) bool {
	month := num(s[3:5])
	return (s[0] == '1' || s[0] == '2') && (month >= 1 && month <= 12 || month >= 20 && month <= 42 || month >= 50) &&
		97-num(s[:13])%97 == num(s[13:])
}

func hetu(s []byte) bool {
	n := len(s) // with its century sign or without
	return ddmmyy(s) && "0123456789ABCDEFHJKLMNPRSTUVWXY"[(num(s[:6])*1000+num(s[n-4:n-1]))%31] == s[n-1]
}

func personnummer(s []byte) bool {
	s = s[len(s)-10:]
	day := num(s[4:6])
	if day > 60 { // a coordination number
		day -= 60
	}
	return date(2000+num(s[:2]), num(s[2:4]), day) && luhn(s)
}

func organisation(s []byte) bool { return s[2] >= '2' && luhn(s) }

func nric(s []byte) bool {
	sum := weighted(s[1:], 2, 7, 6, 5, 4, 3, 2)
	switch s[0] {
	case 'S':
		return "JZIHGFEDCBA"[sum%11] == s[8]
	case 'T':
		return "JZIHGFEDCBA"[(sum+4)%11] == s[8]
	case 'F':
		return "XWUTRQPNMLK"[sum%11] == s[8]
	case 'G':
		return "XWUTRQPNMLK"[(sum+4)%11] == s[8]
	case 'M':
		return "KLJNPQRTUWX"[10-(sum+3)%11] == s[8]
	}
	return false
}

func uen(s []byte) bool {
	switch {
	case len(s) == 9:
		return "XMKECAWLJDB"[weighted(s, 10, 4, 9, 3, 8, 2, 7, 1)%11] == s[8]
	case s[0] <= '9':
		return "ZKCMDNERGWH"[weighted(s, 10, 8, 6, 4, 9, 7, 5, 3, 1)%11] == s[9]
	}
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWX0123456789"
	sum := -5
	for i, w := range []int{4, 3, 5, 3, 10, 2, 2, 5, 7} {
		v := strings.IndexByte(alphabet, s[i])
		if v < 0 {
			return false
		}
		sum += w * v
	}
	return strings.IndexByte("RST", s[0]) >= 0 && alphabet[(sum+11)%11] == s[9]
}

func rrn(s []byte) bool {
	return yymmdd(s) &&
		(11-weighted(s, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11)%10 == int(s[12]-'0')
}

func tckn(s []byte) bool {
	odd := weighted(s, 1, 0, 1, 0, 1, 0, 1, 0, 1)
	even := weighted(s, 0, 1, 0, 1, 0, 1, 0, 1)
	return s[0] != '0' && (odd*7-even+100)%10 == int(s[9]-'0') && weighted(s, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)%10 == int(s[10]-'0')
}

func tnin(s []byte) bool {
	return s[0] >= '1' && s[0] <= '8' && (11-weighted(s, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11)%10 == int(s[12]-'0')
}

func zaID(s []byte) bool { return yymmdd(s) && s[10] <= '1' && luhn(s) }

func cpr(s []byte) bool { return ddmmyy(s) }

func imei(s []byte) bool { return luhn(s) && s[0] != '0' }

func notSame(s []byte) bool { return !same(s) }
