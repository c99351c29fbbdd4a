// Asks a DICOM node with dcmjs-dimse: C-ECHO, C-STORE of a file, C-FIND, C-GET and C-MOVE of its study; one line of JSON.
// node dcmjs_client.cjs MODULES PORT FILE STUDY DESTINATION

const [, , modules, port, file, study, destination] = process.argv;
const dimse = require(require.resolve('dcmjs-dimse', { paths: [modules] }));
const { CEchoRequest, CFindRequest, CGetRequest, CMoveRequest, CStoreRequest } = dimse.requests;
const { CStoreResponse } = dimse.responses;
const { Status } = dimse.constants;
dimse.log.setLevel('silent');

const result = { echo: null, store: null, found: [], got: [], get: null, move: null };

function ask(request, onResponse, onStore) {
  return new Promise((resolve, reject) => {
    const client = new dimse.Client();
    request.on('response', onResponse);
    client.addRequest(request);
    if (onStore) {
      client.on('cStoreRequest', (incoming, callback) => {
        onStore(incoming);
        const response = CStoreResponse.fromRequest(incoming);
        response.setStatus(Status.Success);
        callback(response);
      });
    }
    client.on('networkError', reject);
    client.on('closed', resolve);
    client.send('127.0.0.1', Number(port), 'DCMJS', 'HILUM');
  });
}

async function main() {
  await ask(new CEchoRequest(), (response) => { result.echo = response.getStatus(); });
  await ask(new CStoreRequest(file), (response) => { result.store = response.getStatus(); });
  await ask(CFindRequest.createStudyFindRequest({ StudyInstanceUID: study, PatientName: '' }), (response) => {
    if (response.getStatus() === Status.Pending && response.hasDataset()) {
      result.found.push(response.getDataset().getElement('StudyInstanceUID'));
    }
  });
  const get = CGetRequest.createStudyGetRequest(study);
  await ask(get, (response) => {
    if (response.getStatus() !== Status.Pending) result.get = response.getStatus();
  }, (incoming) => {
    const pixels = incoming.getDataset().getElement('PixelData');
    result.got.push([incoming.getDataset().getElement('SOPInstanceUID'), Buffer.from(pixels[0] ?? pixels).toString('base64')]);
  });
  await ask(CMoveRequest.createStudyMoveRequest(destination, study), (response) => {
    if (response.getStatus() !== Status.Pending) result.move = [response.getStatus(), response.getCompleted()];
  });
  console.log(JSON.stringify(result));
}

main().then(() => process.exit(0), (error) => { console.error(String(error)); process.exit(1); });
