//! With which certificate does a server show itself? Its own, signed by the authority that Complement puts into every
//! container.

use anyhow::{Context, Result};
use pkcs8::{
    ObjectIdentifier, PrivateKeyInfoRef,
    der::{AnyRef, Encode, asn1::OctetStringRef},
    spki::AlgorithmIdentifierRef,
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose};

/// [rsaEncryption](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1)
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A certificate and its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Makes a certificate for this name, signed by the authority whose certificate and key these are.
pub fn issue(server_name: &str, ca_certificate: &str, ca_key: &str) -> Result<Pair> {
    let authority = Issuer::from_ca_cert_pem(ca_certificate, key(ca_key)?)
        .context("the authority's certificate cannot be read")?;
    let mut params = CertificateParams::new([server_name.to_owned()])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let own = KeyPair::generate()?;
    let certificate = params.signed_by(&own, &authority)?;
    Ok(Pair { certificate: certificate.pem(), key: own.serialize_pem() })
}

/// The authority's key. Complement writes RSA keys bare (PKCS #1); what signs here reads them wrapped (PKCS #8).
fn key(text: &str) -> Result<KeyPair> {
    let block = pem::parse(text).context("the authority's key is not PEM")?;
    if block.tag() != "RSA PRIVATE KEY" {
        return Ok(KeyPair::from_pem(text)?);
    }
    let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
    let bare = OctetStringRef::new(block.contents())?;
    let wrapped = PrivateKeyInfoRef::new(algorithm, bare).to_der()?;
    Ok(KeyPair::try_from(wrapped)?)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, IsCa, PublicKeyData};

    use super::*;

    #[test]
    fn a_certificate_names_the_server_and_its_authority() {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let pair = issue("hs1", &ca.pem(), &ca_key.serialize_pem()).unwrap();
        assert!(pair.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        let own = KeyPair::from_pem(&pair.key).unwrap();
        let der = pem::parse(&pair.certificate).unwrap();
        let holds = |bytes: &[u8]| der.contents().windows(bytes.len()).any(|part| part == bytes);
        assert!(holds(b"hs1") && holds(own.der_bytes()));
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        assert!(issue("hs1", "nothing", "nothing").is_err());
    }
}
