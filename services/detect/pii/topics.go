package pii

import "strings"

// What words near a number can speak of.
const (
	ofAccount topics = 1 << iota
	ofABA
	ofAddress
	ofAustralia
	ofBirth
	ofBritain
	ofCanada
	ofCard
	ofCompany
	ofCrypto
	ofDEA
	ofDriver
	ofFrance
	ofGermany
	ofHealth
	ofIBAN
	ofID
	ofIndia
	ofIP
	ofItaly
	ofMAC
	ofMail
	ofNPI
	ofPassport
	ofPhone
	ofPoland
	ofScandinavia
	ofSingapore
	ofSocial
	ofSpain
	ofTax
	ofIMEI
	ofVersion
	ofNHS
	ofAadhaar
	ofSIN
	ofNIN
	ofDate
	ofMedicare
	ofMonth
)

// vocabulary is the words of each topic, in lower case, in the languages of the countries whose numbers we know.
func vocabulary() map[string]topics {
	all := map[string]topics{}
	for topic, words := range map[topics]string{
		ofAccount:     "account accounts acct acc bank banking checking savings debit deposit konto kontonummer compte cuenta conto rekening rachunek conta",
		ofABA:         "aba routing rtn transit abarouting fedwire",
		ofAddress:     "address postcode postal zip street road adresse straße anschrift postleitzahl dirección direccion indirizzo adres deliver delivery lives",
		ofAustralia:   "australia australian abn acn tfn",
		ofBirth:       "birth born dob birthday birthdate bday geboren geburtsdatum geburtstag geb née né naissance nacimiento nacido nacida nascita nato nata nascimento urodzenia urodzony urodzona geboorte geboortedatum född syntymäaika doğum fødselsdato fødselsdag",
		ofBritain:     "uk british britain kingdom hmpo england scotland wales ukpassport",
		ofCanada:      "canada canadian",
		ofCard:        "card cards credit debit visa mastercard amex discover maestro cc ccn pan cardnumber creditcard karte kreditkarte kartennummer carte tarjeta carta cartão karta kaart kort payment",
		ofCompany:     "company registration uen siren siret organisationsnummer orgnr organisation rcs kvk acn abn corporate",
		ofCrypto:      "bitcoin btc wallet ethereum eth crypto litecoin ltc usdt tron trx blockchain address coin",
		ofDEA:         "dea prescriber practitioner",
		ofDriver:      "driver drivers driving licence license dl dlnumber führerschein führerscheinnummer permis conducir conduire patente rijbewijs prawo jazdy körkort",
		ofFrance:      "nir sécurité securite insee sécu secu immatriculation",
		ofGermany:     "personalausweis ausweis ausweisnummer personalausweisnummer steuer steuernummer steuerid idnr identifikationsnummer",
		ofHealth:      "health insurance patient medical krankenversicherung krankenversichertennummer versichertennummer krankenkasse versicherten gesundheitskarte kvnr mbi beneficiary member",
		ofIBAN:        "iban bic swift bankverbindung überweisung transfer virement transferencia bonifico",
		ofID:          "id identity identification national nationalid idnumber citizen identité identidad identità identità identidade dni nif nie carta cédula nino kimlik tc tckn pesel personnummer personbeteckning henkilötunnus hetu cpr rrn nric fin เลขประจำตัวประชาชน 주민등록번호 주민번호 thai resident",
		ofIndia:       "india indian pan gstin gst voter epic",
		ofIP:          "ip ips ipv4 ipv6 address addr server host client remote gateway dns ping peer from source",
		ofItaly:       "codice fiscale partita iva cf piva",
		ofMAC:         "mac hardware ethernet bssid ether wifi hwaddr adapter",
		ofMail:        "mail email e contact write courriel correo posta",
		ofNPI:         "npi provider taxonomy physician",
		ofPassport:    "passport passports passportnumber reisepass reisepassnummer passeport pasaporte passaporto paspoort paszport pass passnummer travel",
		ofPhone:       "phone phones telephone tel mobile cell cellphone call called fax ring whatsapp sms text reach contact telefon telefonnummer handy mobil anrufen téléphone telephone portable appeler teléfono telefono móvil movil llamar cellulare telefoon mobiel bellen telefone celular puhelin telefonu hotline",
		ofPoland:      "pesel",
		ofScandinavia: "personnummer samordningsnummer organisationsnummer orgnr cpr hetu henkilötunnus personbeteckning",
		ofSingapore:   "singapore uen nric",
		ofSocial:      "ssn ssns social socialsecurity sozialversicherungsnummer rentenversicherungsnummer versicherungsnummer svnr rvnr sécurité securite sociale nino insurance ni itin taxpayer",
		ofSpain:       "dni nif nie spain españa",
		ofTax:         "tax taxpayer tin itin tfn vat steuer steuernummer steuerid steueridentifikationsnummer idnr umsatzsteuer ust ustid impôt fiscal fiscale fiscalité iva nip abn acn gstin pan taxid",
		ofIMEI:        "imei device handset",
		ofVersion:     "version v ver release firmware build upgrade upgraded chrome safari mozilla section chapter clause",
		ofNHS:         "nhs",
		ofAadhaar:     "aadhaar aadhar uidai uid आधार",
		ofSIN:         "sin insurance nas canada canadian",
		ofNIN:         "nin nigeria nigerian nimc",
		ofDate:        "expires expiry due invoice",
		ofMedicare:    "medicare",
		ofMonth: "jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august september october november december januar februar märz mär mai juni juli oktober dezember okt dez " +
			"janvier février fév mars avril avr juin juillet juil août septembre octobre novembre décembre déc enero ene febrero marzo abril abr mayo junio julio agosto septiembre octubre noviembre diciembre dic " +
			"gennaio gen febbraio aprile maggio giugno luglio settembre ottobre dicembre januari februari maart augustus stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
	} {
		for _, w := range strings.Fields(words) {
			all[w] |= topic
		}
	}
	return all
}
