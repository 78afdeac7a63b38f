package wire

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type table struct {
	Detector, Version, Taxonomy, Notes string
	Aliases                            []string
	Maps                               map[string][]string
}

func decodeStrict(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// tables reads config/detectors by detector, with native labels in lower case.
func tables(t *testing.T) map[string]table {
	t.Helper()
	paths, err := filepath.Glob("../../../config/detectors/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no tables", err)
	}
	all := map[string]table{}
	for _, path := range paths {
		var tab table
		decodeStrict(t, path, &tab)
		if tab.Detector+".yaml" != filepath.Base(path) {
			t.Errorf("%s is for %s", path, tab.Detector)
		}
		folded := map[string][]string{}
		for native, labels := range tab.Maps {
			key := strings.ToLower(native)
			if folded[key] != nil || len(labels) == 0 || !nameShape.MatchString(native) {
				t.Errorf("%s: %q is there twice, empty, or no label", path, native)
			}
			folded[key] = labels
		}
		tab.Maps = folded
		all[tab.Detector] = tab
	}
	return all
}

func TestTablesHoldToTheTaxonomy(t *testing.T) {
	var taxonomy struct {
		Version    string
		Compatible []string `yaml:"compatible_with"`
		Labels     []struct{ ID, Text, Since string }
	}
	decodeStrict(t, "../../../config/taxonomy.yaml", &taxonomy)
	known := map[string]bool{}
	for _, l := range taxonomy.Labels {
		known[l.ID] = true
	}
	names := map[string]string{}
	for detector, tab := range tables(t) {
		if tab.Taxonomy != taxonomy.Version {
			t.Errorf("%s is for taxonomy %s", detector, tab.Taxonomy)
		}
		for _, name := range append(tab.Aliases, detector) {
			if names[name] != "" || name != strings.ToLower(name) {
				t.Errorf("%s: %s is %s's already, or not in lower case", detector, name, names[name])
			}
			names[name] = detector
		}
		for native, labels := range tab.Maps {
			for _, label := range labels {
				if !known[label] {
					t.Errorf("%s: %s: %s is not in the taxonomy", detector, native, label)
				}
			}
		}
	}
}

// predefined are the entities of Presidio's predefined recognizers and of its NER engines' default mapping.
const predefined = `
CREDIT_CARD CRYPTO DATE_TIME EMAIL_ADDRESS IBAN_CODE IP_ADDRESS MAC_ADDRESS NRP LOCATION PERSON PHONE_NUMBER
MEDICAL_LICENSE URL UUID API_KEY IMEI ORGANIZATION AGE ID MISC ABA_ROUTING_NUMBER
US_BANK_NUMBER US_DRIVER_LICENSE US_ITIN US_MBI US_NPI US_PASSPORT US_SSN US_HEALTH_INSURANCE_MEMBER_ID
US_PRIOR_AUTHORIZATION_NUMBER US_CLAIM_NUMBER US_PRESCRIPTION_NUMBER US_REFERRAL_NUMBER US_PROVIDER_TAX_ID
UK_DRIVING_LICENCE UK_NHS UK_NINO UK_PASSPORT UK_POSTCODE UK_VEHICLE_REGISTRATION ES_NIF ES_NIE ES_PASSPORT
IT_FISCAL_CODE IT_DRIVER_LICENSE IT_VAT_CODE IT_PASSPORT IT_IDENTITY_CARD PL_PESEL SG_NRIC_FIN SG_UEN
AU_ABN AU_ACN AU_TFN AU_MEDICARE AU_BANK_DETAILS IN_PAN IN_AADHAAR IN_VEHICLE_REGISTRATION IN_VOTER IN_PASSPORT
IN_GSTIN IN_UPI FI_PERSONAL_IDENTITY_CODE KR_DRIVER_LICENSE KR_FRN KR_PASSPORT KR_BRN KR_CRN KR_RRN KR_BANK_ACCOUNT
NG_NIN NG_BVN NG_VEHICLE_REGISTRATION PH_PASSPORT PH_TIN PH_UMID PH_MOBILE_NUMBER CA_SIN CA_POSTAL_CODE CA_BN
DK_CPR_NUMBER SE_ORGANISATIONSNUMMER SE_PERSONNUMMER ZA_ID_NUMBER ZA_PASSPORT ZA_INCOME_TAX_NUMBER ZA_DRIVER_LICENSE
ZA_VAT_NUMBER ZA_COMPANY_REGISTRATION ZA_TRAFFIC_REGISTER_NUMBER ZA_LICENSE_PLATE ZA_MOBILE_NUMBER
ZA_TELEPHONE_NUMBER TH_TNIN TR_NATIONAL_ID TR_LICENSE_PLATE TR_TAX_ID TR_PHONE_NUMBER KE_NATIONAL_ID TW_NATIONAL_ID
TW_PHONE_NUMBER FR_NIR FR_SIREN FR_SIRET DE_TAX_ID DE_TAX_NUMBER DE_PASSPORT DE_ID_CARD DE_SOCIAL_SECURITY
DE_HEALTH_INSURANCE DE_KFZ DE_HANDELSREGISTER DE_PLZ DE_LANR DE_BSNR DE_VAT_ID DE_FUEHRERSCHEIN
MEDICAL_DISEASE_DISORDER MEDICAL_MEDICATION MEDICAL_THERAPEUTIC_PROCEDURE MEDICAL_CLINICAL_EVENT
MEDICAL_BIOLOGICAL_ATTRIBUTE MEDICAL_BIOLOGICAL_STRUCTURE MEDICAL_FAMILY_HISTORY MEDICAL_HISTORY`

func TestTablesKnowWhatParsersProduce(t *testing.T) {
	produced := map[string][]string{
		"openai-moderation":    append([]string{"flagged"}, openAICategories...),
		"azure-content-safety": append([]string{azureBlocklist, azureUser, azureDocument, azureProtected, azureUngrounded, azureBlocked}, azureCategories...),
		"presidio":             strings.Fields(predefined),
	}
	for detector, names := range guardLabels {
		produced[detector] = []string{"unsafe"}
		letter := "S"
		if detector == "llama-guard-1" {
			letter = "O"
		}
		for i := range names {
			produced[detector] = append(produced[detector], fmt.Sprintf("%s%d", letter, i+1))
		}
	}
	all := tables(t)
	if len(all) != len(produced) {
		t.Errorf("%d tables, but parsers use %d", len(all), len(produced))
	}
	for detector, natives := range produced {
		for _, native := range natives {
			if all[detector].Maps[strings.ToLower(native)] == nil {
				t.Errorf("%s has no row for %s", detector, native)
			}
		}
	}
}

// TestTablesMeanWhatTheirModelsMean holds the codes that versions of Llama Guard share and mean differently.
func TestTablesMeanWhatTheirModelsMean(t *testing.T) {
	all := tables(t)
	f := func(detector, native, want string) {
		t.Helper()
		if got := fmt.Sprint(all[detector].Maps[strings.ToLower(native)]); got != "["+want+"]" {
			t.Errorf("%s %s means %s, not %s", detector, native, got, want)
		}
	}
	f("llama-guard-1", "O3", "HARM.CRIME.Other")
	f("llama-guard-1", "O4", "HARM.CRIME.Weapons")
	f("llama-guard-1", "O6", "HARM.VIOLENCE.Suicide HARM.VIOLENCE.SelfHarm")
	f("llama-guard-2", "S6", "PII.Other")
	f("llama-guard-3", "S6", "OTHER.SpecializedAdvice")
	f("llama-guard-2", "S10", "HARM.VIOLENCE.Suicide HARM.VIOLENCE.SelfHarm")
	f("llama-guard-3", "S10", "HARM.SPEECH.Hate.Other")
	f("azure-content-safety", azureUser, "JAILBREAK.Attempt")
	f("azure-content-safety", azureDocument, "PROMPT_INJECTION.Indirect")
	f("azure-content-safety", azureProtected, "OTHER.IntellectualProperty")
	f("azure-content-safety", azureUngrounded, "OTHER.Hallucination")
	f("azure-content-safety", azureBlocklist, "OTHER.PolicyViolation")
	f("openai-moderation", "flagged", "OTHER.NeedsReview")
	f("presidio", "DATE_TIME", "PII.Other")
	f("presidio", "NRP", "PII.Person.Demographic")
}
